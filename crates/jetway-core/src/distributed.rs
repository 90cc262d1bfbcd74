//! Runs that several processes execute together, over stores that the caller chooses.
//!
//! [`Workflow::start_distributed`](crate::Workflow::start_distributed) makes a run exist,
//! [`Workflow::step_distributed`](crate::Workflow::step_distributed) executes one step of any run. A store that keeps
//! snapshots (see [`ContextStore::snapshot`]) gives the promises of the engine: a step is committed whole and once.

mod callbacks;
mod context_store;
mod work_queue;

pub use callbacks::{ItemProcessedOutcome, StepCallbacks, StepError};
pub use context_store::{ContextStore, ContextStoreError, InMemoryContextStore};
pub use work_queue::{InMemoryWorkQueue, Leased, WorkQueue, WorkQueueError};

pub use crate::event_log::{EventLog, LoggedEvent};
