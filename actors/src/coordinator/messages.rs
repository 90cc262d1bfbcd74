//! The messages that the coordinator receives. Its tasks wake it as well.

use crate::{coordinator::CoordinatorStatus, lease_keeper::HeldLease};
use actix::{Message, MessageResult};
use jetway_engine::backend::{SignalDelivery, StartDelivery};

pub(crate) use crate::drain::Drain;

/// Starts the handling of a start message.
#[derive(Debug)]
pub(crate) struct TakeStart {
    /// The message.
    pub(crate) delivery: StartDelivery,
    /// Extends its lease, and gives it back if this message is dropped.
    pub(crate) held: HeldLease,
}

impl Message for TakeStart {
    type Result = ();
}

/// Starts the handling of a signal.
#[derive(Debug)]
pub(crate) struct TakeSignal {
    /// The signal.
    pub(crate) delivery: SignalDelivery,
    /// Extends its lease, and gives it back if this message is dropped.
    pub(crate) held: HeldLease,
}

impl Message for TakeSignal {
    type Result = ();
}

/// Asks for the status.
#[derive(Debug)]
pub(crate) struct Observe;

impl Message for Observe {
    type Result = CoordinatorStatus;
}

/// The answer to [`Observe`].
pub(crate) type Observed = MessageResult<Observe>;
