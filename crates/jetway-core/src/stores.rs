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
//!
//! # Run ids that are used again
//!
//! A run id can be used again when the context store has no record of it any more. Nothing of the earlier run acts on the later
//! one, which is another [incarnation](jetway_state::Incarnation), although items of the earlier one may still be queued or
//! leased, and a step of it may still run: the step is discarded, and what it records is kept apart.
//!
//! | of the store | what it needs |
//! |---|---|
//! | [`ContextStore`] | snapshots, and revisions that are never used again. Without snapshots there are no incarnations: use an id once |
//! | [`WorkQueue`], [`WorkItemStateStore`] | nothing: the id of a queued item names the incarnation. A work item without [`with_instance_id`](crate::WorkItem::with_instance_id) needs an id that is unique over all runs of a run id, for example a UUID |
//! | [`ErrorStore`], [`MetricsStore`] | [`record_error_of`](ErrorStore::record_error_of), [`get_errors_of`](ErrorStore::get_errors_of), [`add_metrics_of`](MetricsStore::add_metrics_of), [`raise_metrics_of`](MetricsStore::raise_metrics_of), [`get_metrics_of`](MetricsStore::get_metrics_of). Without them the errors and metrics of a run id are those of all its runs |
//! | [`RunInfoStore`] | [`list_run_of`](RunInfoStore::list_run_of). Without it a run that ends late may be listed in the place of the later one until that one ends |
//! | [`CheckpointStore`](crate::CheckpointStore) | [`replace`](crate::CheckpointStore::replace). Without it a process that still runs the earlier run overwrites the checkpoint of the later one |
//!
//! The stores in memory and those on NATS have all of it.

pub mod by_incarnation;
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
