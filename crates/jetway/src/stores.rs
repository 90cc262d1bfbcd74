//! Workflows without hosts, over stores of your choice.
//!
//! [`Workflow::start_distributed`](crate::Workflow::start_distributed) starts a run, and
//! [`Workflow::step_distributed`](crate::Workflow::step_distributed) executes one step of any run. A [`WorkerPool`] executes
//! steps in the background, and a [`DistributedOrchestrator`] starts, inspects, pauses and cancels runs. See the
//! [guide](crate::guide::distributed).

pub use jetway_core::{
    stores::{
        ContextStore, ContextStoreError, ErrorStore, ErrorStoreError, InMemoryContextStore,
        InMemoryErrorStore, InMemoryLivenessStore, InMemoryMetricsStore, InMemoryRunInfoStore,
        InMemoryWorkItemStateStore, InMemoryWorkQueue, Leased, LivenessStatus, LivenessStore,
        LivenessStoreError, MetricsError, MetricsStore, RunInfo, RunInfoError, RunInfoStore, RunMetrics,
        RunStatus, WorkItemState, WorkItemStateStore, WorkItemStateStoreError, WorkItemStatus, WorkQueue,
        WorkQueueError, WorkerHealth, WorkerStatus, WorkflowError,
    },
    workers::{
        orchestrator::{DistributedOrchestrator, OrchestratorBuilder},
        worker::{DistributedWorker, WorkerBuilder, WorkerPool},
    },
    workflow::callbacks::{ItemProcessedOutcome, RunState, StepCallbacks, StepError},
};
pub use jetway_state::Incarnation;
