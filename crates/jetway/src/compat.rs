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

/// [`stores`](crate::stores) under the paths of floxide.
pub mod distributed {
    pub use crate::stores::*;
    pub use jetway_core::{EventLog, LoggedEvent};

    /// Callbacks of steps.
    pub mod callbacks {
        pub use crate::stores::{ItemProcessedOutcome, StepCallbacks, StepError};
    }

    /// Stores of contexts.
    pub mod context_store {
        pub use crate::stores::{ContextStore, ContextStoreError, InMemoryContextStore};
    }

    /// Stores of errors.
    pub mod error_store {
        pub use crate::stores::{ErrorStore, ErrorStoreError, InMemoryErrorStore};
    }

    /// A log in the context of a run.
    pub mod event_log {
        pub use jetway_core::{EventLog, LoggedEvent};
    }

    /// Stores of the health of workers.
    pub mod liveness_store {
        pub use crate::stores::{
            InMemoryLivenessStore, LivenessStore, LivenessStoreError, WorkerHealth, WorkerStatus,
        };
    }

    /// Stores of metrics.
    pub mod metrics_store {
        pub use crate::stores::{InMemoryMetricsStore, MetricsError, MetricsStore};
    }

    /// Starting and controlling runs.
    pub mod orchestrator {
        pub use crate::stores::{DistributedOrchestrator, OrchestratorBuilder};
    }

    /// Stores of the status of runs.
    pub mod run_info_store {
        pub use crate::stores::{InMemoryRunInfoStore, RunInfoError, RunInfoStore};
    }

    /// Types that the stores share.
    pub mod types {
        pub use crate::stores::{
            ErrorStoreError, ItemProcessedOutcome, LivenessStatus, LivenessStoreError, RunInfo, RunMetrics,
            RunStatus, StepCallbacks, StepError, WorkflowError,
        };
    }

    /// Stores of the states of work items.
    pub mod work_item_store {
        pub use crate::stores::{
            InMemoryWorkItemStateStore, WorkItemState, WorkItemStateStore, WorkItemStateStoreError,
            WorkItemStatus,
        };
    }

    /// Queues of work items.
    pub mod work_queue {
        pub use crate::stores::{InMemoryWorkQueue, Leased, WorkQueue, WorkQueueError};
    }

    /// Workers.
    pub mod worker {
        pub use crate::stores::{DistributedWorker, WorkerBuilder, WorkerPool};
    }
}
