//! What the engine needs of a backend: where snapshots, tickets, starts and results are kept.
//!
//! The rules behind these traits, which every backend keeps and the conformance suite checks:
//!
//! * a snapshot is written by compare-and-swap, whole or not at all, and read back as it was last written;
//! * publishing a ticket, a result or a dead letter twice has the effect of once;
//! * a ticket is held under a lease: kept alive it is nobody else's, left alone it is delivered again;
//! * nothing is reported as written before it is as durable as the backend can make it.

mod error;
mod messages;
mod traits;

pub use crate::api::{Api, ApiError};
pub use error::{BackendError, BackendErrorKind};
pub use messages::{
    DeadLetter, Delivery, HostInfo, Lease, RunsPage, RunsQuery, SnapshotWrite, StaleRun, StartDelivery,
    StartRequest, Stored, Ticket,
};
pub use traits::{Backend, Hosts, Results, SnapshotStore, Starts, TicketQueue};
