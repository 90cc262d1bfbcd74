//! The store traits of runs without hosts, with an implementation in memory of each.
//!
//! [`Workflow::start_distributed`](crate::Workflow::start_distributed) creates a run,
//! [`Workflow::step_distributed`](crate::Workflow::step_distributed) executes one step of any run. Several processes
//! can share the stores.
//!
//! | trait | what it stores |
//! |---|---|
//! | [`WorkQueue`] | work items that wait for a worker |
//! | [`ContextStore`] | contexts and, where it can, snapshots |
//! | [`WorkItemStateStore`] | the status and the attempts of work items |
//! | [`RunInfoStore`], [`MetricsStore`], [`ErrorStore`], [`LivenessStore`] | views for people and for lists |
//!
//! With snapshots (see [`ContextStore::snapshot`]) a step is all or nothing and committed once, as on a host. The
//! snapshot is then the truth about a run. A view may lag behind it, and no step depends on a view. The one exception
//! is the number of attempts in the [`WorkItemStateStore`], which limits retries.

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
