//! The messages that the worker receives. Its tasks wake it as well.

use crate::{lease_keeper::HeldLease, worker::WorkerStatus};
use actix::{Message, MessageResult};
use jetway_engine::backend::Delivery;

pub(crate) use crate::drain::Drain;

/// Starts the work on a ticket.
#[derive(Debug)]
pub(crate) struct TakeTicket {
    /// The ticket.
    pub(crate) delivery: Delivery,
    /// Extends its lease, and gives it back if this message is dropped.
    pub(crate) held: HeldLease,
}

impl Message for TakeTicket {
    type Result = ();
}

/// Asks for the status.
#[derive(Debug)]
pub(crate) struct Observe;

impl Message for Observe {
    type Result = WorkerStatus;
}

/// The answer to [`Observe`].
pub(crate) type Observed = MessageResult<Observe>;
