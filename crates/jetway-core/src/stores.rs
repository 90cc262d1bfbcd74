//! Runs that several processes execute together, over stores that the caller chooses.
//!
//! [`Workflow::start_distributed`](crate::Workflow::start_distributed) makes a run exist,
//! [`Workflow::step_distributed`](crate::Workflow::step_distributed) executes one step of any run. A store that keeps
//! snapshots (see [`ContextStore::snapshot`]) gives the promises of the engine: a step is committed whole and once.
//!
//! The snapshot is the truth about a run. What [`RunInfoStore`], [`MetricsStore`], [`ErrorStore`], [`LivenessStore`]
//! and [`WorkItemStateStore`] keep are views beside it, for people and for lists: a view may lag, and no work depends
//! on one, save that the attempts at an item are counted in the [`WorkItemStateStore`].

pub mod context_store;
pub mod error_store;
pub mod liveness_store;
pub mod metrics_store;
pub mod run_info_store;
pub mod types;
pub(crate) mod views;
pub mod work_item_store;
pub mod work_queue;

pub use context_store::*;
pub use error_store::*;
pub use liveness_store::*;
pub use metrics_store::*;
pub use run_info_store::*;
pub use types::*;
pub use work_item_store::*;
pub use work_queue::*;
