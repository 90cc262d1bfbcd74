//! Everything that can wake a worker, besides its own tasks: a step or a subscription that ends.

use crate::{lease_keeper::HeldLease, worker::WorkerStatus};
use actix::{Message, MessageResult};
use jetway_engine::backend::Delivery;

pub(crate) use crate::drain::Drain;

/// Works on a ticket.
#[derive(Debug)]
pub(crate) struct TakeTicket {
    /// The ticket.
    pub(crate) delivery: Delivery,
    /// Keeps its lease alive, and has it given back where this message is lost.
    pub(crate) held: HeldLease,
}

impl Message for TakeTicket {
    type Result = ();
}

/// Asks how it goes.
#[derive(Debug)]
pub(crate) struct Observe;

impl Message for Observe {
    type Result = WorkerStatus;
}

/// The answer to [`Observe`].
pub(crate) type Observed = MessageResult<Observe>;
