//! The module paths of floxide, for code that was written against it. `api/floxide.txt` lists its names.

/// A node that processes many inputs in one step.
pub mod batch {
    pub use jetway_core::BatchNode;
}

/// Checkpoints of runs in one process.
pub mod checkpoint {
    pub use jetway_core::{
        Checkpoint, CheckpointError, CheckpointStore, FileCheckpointStore, InMemoryCheckpointStore,
    };
}

/// A node that runs another workflow within one step.
pub mod composite {
    pub use jetway_core::CompositeNode;
}

/// The context of a run.
pub mod context {
    pub use jetway_core::{Context, SharedState, WorkflowCtx};
}

/// Errors of nodes and runs.
pub mod error {
    pub use jetway_state::{Error, FloxideError};
}

/// Nodes.
pub mod node {
    pub use jetway_core::Node;
}

/// Nodes with a retry policy.
pub mod retry {
    pub use jetway_core::{
        BackoffStrategy, RetryError, RetryNode, RetryPolicy, nodes::retry::RetryDelay, with_retry,
    };
}

/// Runs for the values of a channel.
pub mod source {
    pub use jetway_core::{Source, nodes::source::source};
}

/// A node that splits one value into many.
pub mod split {
    pub use jetway_core::SplitNode;
}

/// What a node returns.
pub mod transition {
    pub use jetway_core::Transition;
}

/// Workflows and their work items.
pub mod workflow {
    pub use jetway_core::{WorkItem, Workflow};
}

/// Workflows without hosts, over stores of your choice.
///
/// [`Workflow::start_distributed`](crate::Workflow::start_distributed) starts a run, and
/// [`Workflow::step_distributed`](crate::Workflow::step_distributed) executes one step of any run. A [`WorkerPool`](distributed::WorkerPool) executes
/// steps in the background, and a [`DistributedOrchestrator`](distributed::DistributedOrchestrator) starts, inspects, pauses and cancels runs. See the
/// [guide](crate::guide::distributed).
///
/// The modules below are the paths of floxide.
pub mod distributed {
    pub use crate::store_types::*;
    pub use jetway_core::{EventLog, LoggedEvent};

    /// Callbacks of steps.
    pub mod callbacks {
        pub use crate::store_types::{ItemProcessedOutcome, StepCallbacks, StepError};
    }

    /// Stores of contexts.
    pub mod context_store {
        pub use crate::store_types::{ContextStore, ContextStoreError, InMemoryContextStore};
    }

    /// Stores of errors.
    pub mod error_store {
        pub use crate::store_types::{ErrorStore, ErrorStoreError, InMemoryErrorStore};
    }

    /// A log in the context of a run.
    pub mod event_log {
        pub use jetway_core::{EventLog, LoggedEvent};
    }

    /// Stores of the health of workers.
    pub mod liveness_store {
        pub use crate::store_types::{
            InMemoryLivenessStore, LivenessStore, LivenessStoreError, WorkerHealth, WorkerStatus,
        };
    }

    /// Stores of metrics.
    pub mod metrics_store {
        pub use crate::store_types::{InMemoryMetricsStore, MetricsError, MetricsStore};
    }

    /// Starting and controlling runs.
    pub mod orchestrator {
        pub use crate::store_types::{DistributedOrchestrator, OrchestratorBuilder};
    }

    /// Stores of the status of runs.
    pub mod run_info_store {
        pub use crate::store_types::{InMemoryRunInfoStore, RunInfoError, RunInfoStore};
    }

    /// Types that the stores share.
    pub mod types {
        pub use crate::store_types::{
            ErrorStoreError, ItemProcessedOutcome, LivenessStatus, LivenessStoreError, RunInfo, RunMetrics,
            RunStatus, StepCallbacks, StepError, WorkflowError,
        };
    }

    /// Stores of the states of work items.
    pub mod work_item_store {
        pub use crate::store_types::{
            InMemoryWorkItemStateStore, WorkItemState, WorkItemStateStore, WorkItemStateStoreError,
            WorkItemStatus,
        };
    }

    /// Queues of work items.
    pub mod work_queue {
        pub use crate::store_types::{InMemoryWorkQueue, Leased, WorkQueue, WorkQueueError};
    }

    /// Workers.
    pub mod worker {
        pub use crate::store_types::{DistributedWorker, WorkerBuilder, WorkerPool};
    }
}
