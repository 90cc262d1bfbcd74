//! Backends: they store snapshots, tickets, starts and results.
//!
//! Every backend keeps these rules, and the conformance suite checks them:
//!
//! * a snapshot is written by compare-and-swap, as a whole or not at all, and a read returns the last write;
//! * publishing a ticket, a result or a dead letter twice has the effect of once;
//! * a ticket is held under a lease: as long as the lease is extended nobody else gets it, else it is delivered again;
//! * a write is reported as done only when it is as durable as the backend can make it.

mod alarms;
mod beats;
mod cancels;
mod error;
mod messages;
mod signals;
mod ticket_index;
mod traits;

pub use crate::api::{Api, ApiError};
pub use alarms::{Alarm, Alarms};
pub use beats::{BeatKey, Beats};
pub use cancels::{CancelBoard, CancelNews, Cancels};
pub use error::{BackendError, BackendErrorKind};
pub use messages::{
    DeadLetter, Delivery, HostInfo, Lease, RunResult, RunsPage, RunsQuery, SnapshotWrite, StaleRun,
    StartDelivery, StartRequest, Stored, Ticket,
};
pub use signals::{NewSignal, SignalDelivery, Signals, StoredSignal};
pub use ticket_index::TicketIndex;
pub use traits::{Backend, Hosts, Results, SnapshotStore, Starts, TicketQueue};
