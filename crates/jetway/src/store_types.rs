//! What [`distributed`](crate::distributed) is made of.

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
