//! The message that the lease keeper receives. Its table wakes it as well.

use actix::Message;

/// Gives back every lease that is still held, then stops the lease keeper.
#[derive(Debug)]
pub(crate) struct Finish;

impl Message for Finish {
    type Result = ();
}
