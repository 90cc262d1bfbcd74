//! Everything that can wake the keeper, besides its table: a lease that is due, and one that is to be given back.

use actix::Message;

/// Gives back every lease that is still held, and stops when that is done.
#[derive(Debug)]
pub(crate) struct Finish;

impl Message for Finish {
    type Result = ();
}
