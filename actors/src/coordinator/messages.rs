//! Everything that can wake a coordinator, besides its own tasks: a start, a subscription or a duty that ends.

use crate::{coordinator::CoordinatorStatus, lease_keeper::HeldLease};
use actix::{Message, MessageResult};
use jetway_engine::backend::StartDelivery;

pub(crate) use crate::drain::Drain;

/// Handles a start message.
#[derive(Debug)]
pub(crate) struct TakeStart {
    /// The message.
    pub(crate) delivery: StartDelivery,
    /// Keeps its lease alive, and has it given back where this message is lost.
    pub(crate) held: HeldLease,
}

impl Message for TakeStart {
    type Result = ();
}

/// Asks how it goes.
#[derive(Debug)]
pub(crate) struct Observe;

impl Message for Observe {
    type Result = CoordinatorStatus;
}

/// The answer to [`Observe`].
pub(crate) type Observed = MessageResult<Observe>;
