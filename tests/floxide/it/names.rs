//! Every name, by every path that it may be imported by.

#![allow(unused_imports, reason = "what is tested is that the names are there")]

mod at_the_root {
    use floxide::{
        batch, checkpoint, composite, context, distributed, error, merge, node, retry, source, split,
        transition, with_retry, workflow, BackoffStrategy, BatchNode, Checkpoint, CheckpointError,
        CheckpointStore, CompositeNode, FloxideError, InMemoryCheckpointStore, Merge, Node, RetryError,
        RetryNode, RetryPolicy, SharedState, Source, SplitNode, Transition, WorkItem, Workflow, WorkflowCtx,
    };
}

mod by_module {
    use floxide::batch::BatchNode;
    use floxide::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, InMemoryCheckpointStore};
    use floxide::composite::CompositeNode;
    use floxide::context::{Context, SharedState, WorkflowCtx};
    use floxide::error::FloxideError;
    use floxide::merge::{Fixed, Merge};
    use floxide::node::Node;
    use floxide::retry::{with_retry, BackoffStrategy, RetryDelay, RetryError, RetryNode, RetryPolicy};
    use floxide::source::{source, Source};
    use floxide::split::SplitNode;
    use floxide::transition::Transition;
    use floxide::workflow::{WorkItem, Workflow};
}

mod distributed_flat {
    use floxide::distributed::{
        ContextStore, ContextStoreError, DistributedOrchestrator, DistributedWorker, ErrorStore,
        ErrorStoreError, EventLog, InMemoryContextStore, InMemoryErrorStore, InMemoryLivenessStore,
        InMemoryMetricsStore, InMemoryRunInfoStore, InMemoryWorkItemStateStore, InMemoryWorkQueue,
        ItemProcessedOutcome, LivenessStatus, LivenessStore, LivenessStoreError, LoggedEvent, MetricsError,
        MetricsStore, OrchestratorBuilder, RunInfo, RunInfoError, RunInfoStore, RunMetrics, RunStatus,
        StepCallbacks, StepError, WorkItemState, WorkItemStateStore, WorkItemStateStoreError, WorkItemStatus,
        WorkQueue, WorkQueueError, WorkerBuilder, WorkerHealth, WorkerPool, WorkerStatus, WorkflowError,
    };
}

mod distributed_by_module {
    use floxide::distributed::context_store::{ContextStore, ContextStoreError, InMemoryContextStore};
    use floxide::distributed::error_store::{ErrorStore, InMemoryErrorStore};
    use floxide::distributed::event_log::{EventLog, LoggedEvent};
    use floxide::distributed::liveness_store::{
        InMemoryLivenessStore, LivenessStore, WorkerHealth, WorkerStatus,
    };
    use floxide::distributed::metrics_store::{InMemoryMetricsStore, MetricsError, MetricsStore};
    use floxide::distributed::orchestrator::{DistributedOrchestrator, OrchestratorBuilder};
    use floxide::distributed::run_info_store::{InMemoryRunInfoStore, RunInfoError, RunInfoStore};
    use floxide::distributed::types::{
        ErrorStoreError, ItemProcessedOutcome, LivenessStatus, LivenessStoreError, RunInfo, RunMetrics,
        RunStatus, StepCallbacks, StepError, WorkflowError,
    };
    use floxide::distributed::work_item_store::{
        InMemoryWorkItemStateStore, WorkItemState, WorkItemStateStore, WorkItemStateStoreError,
        WorkItemStatus,
    };
    use floxide::distributed::work_queue::{InMemoryWorkQueue, WorkQueue, WorkQueueError};
    use floxide::distributed::worker::{DistributedWorker, WorkerBuilder, WorkerPool};
}

mod core_and_macros {
    use floxide_core::distributed::{ContextStore, InMemoryWorkQueue, StepCallbacks};
    use floxide_core::{
        batch::BatchNode, checkpoint::Checkpoint, composite::CompositeNode, context::Context,
        error::FloxideError, merge::Fixed, node::Node, retry::RetryDelay, source::source, split::SplitNode,
        transition::Transition, workflow::Workflow, WorkflowCtx,
    };
    use floxide_core::{
        BackoffStrategy, CheckpointError, CheckpointStore, InMemoryCheckpointStore, Merge as _, RetryError,
        RetryNode, RetryPolicy, SharedState, Source, WorkItem,
    };
    use floxide_macros::{node, workflow, Merge};
}

/// One name in two namespaces: a module and a macro, a module and a function, a trait and its derive.
mod one_name_twice {
    use floxide::{merge, node, source, workflow, Merge, Transition};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
    struct Limits {
        most: merge::Fixed<u32>,
    }

    node! { pub struct Pass {}; context = (); input = u8; output = u8; |_ctx, x| { Ok(Transition::Next(x)) } }

    workflow! { pub struct Passing { pass: Pass } start = pass; edges { pass => []; } }

    fn takes<W: workflow::Workflow<()>, N: node::Node>(_: W, _: N) {}

    #[tokio::test]
    async fn both_are_meant_where_they_stand() {
        takes(Passing { pass: Pass {} }, Pass {});
        let (sender, values): (_, source::Source<(), u8>) = source(1);
        drop(sender);
        let passing = Passing { pass: Pass {} };
        assert!(values.run(&passing, &floxide::WorkflowCtx::new(())).await.is_ok());
        let mut limits = Limits { most: merge::Fixed::new(3) };
        limits.merge(Limits::default());
        assert_eq!(*limits.most, 3);
    }
}

/// Matches that leave nothing out, on the errors whose kinds are all known.
mod exhaustive {
    use floxide::distributed::{
        ContextStoreError, ErrorStoreError, LivenessStoreError, MetricsError, RunInfoError,
        WorkItemStateStoreError, WorkQueueError,
    };
    use floxide::CheckpointError;

    macro_rules! words {
        ($name:ident: $error:ty: $($rest:pat => $text:literal),*) => {
            fn $name(error: $error) -> String {
                use $error as E;
                match error {
                    E::Io(error) => format!("io {error}"),
                    E::Other(error) => format!("other {error}"),
                    $($rest => $text.to_owned(),)*
                }
            }
        };
    }

    words!(contexts: ContextStoreError:);
    words!(errors: ErrorStoreError:);
    words!(liveness: LivenessStoreError:);
    words!(queue: WorkQueueError: WorkQueueError::Empty => "empty");
    words!(metrics: MetricsError: MetricsError::NotFound => "not found");
    words!(runs: RunInfoError: RunInfoError::NotFound => "not found");
    words!(items: WorkItemStateStoreError: WorkItemStateStoreError::NotFound => "not found");

    fn checkpoint(error: CheckpointError) -> String {
        match error {
            CheckpointError::Io(error) => format!("io {error}"),
            CheckpointError::Store(error) => format!("store {error}"),
        }
    }

    #[test]
    fn every_kind_has_its_word() {
        let io = || "disk".to_owned();
        assert_eq!(contexts(ContextStoreError::Io(io())), "io disk");
        assert_eq!(errors(ErrorStoreError::Other(io())), "other disk");
        assert_eq!(liveness(LivenessStoreError::Io(io())), "io disk");
        assert_eq!(queue(WorkQueueError::Empty), "empty");
        assert_eq!(metrics(MetricsError::NotFound), "not found");
        assert_eq!(runs(RunInfoError::NotFound), "not found");
        assert_eq!(items(WorkItemStateStoreError::NotFound), "not found");
        assert_eq!(checkpoint(CheckpointError::Store(io())), "store disk");
        assert_eq!(checkpoint(std::io::Error::other("disk").into()), "io disk");
    }
}
