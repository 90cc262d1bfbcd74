//! The stores, workers, orchestrators and callbacks under the paths of floxide.

pub use crate::{
    event_log,
    event_log::*,
    stores::{
        context_store, context_store::*, error_store, error_store::*, liveness_store, liveness_store::*,
        metrics_store, metrics_store::*, run_info_store, run_info_store::*, types, types::*, work_item_store,
        work_item_store::*, work_queue, work_queue::*,
    },
    workers::{orchestrator, orchestrator::*, worker, worker::*},
    workflow::{callbacks, callbacks::*},
};
