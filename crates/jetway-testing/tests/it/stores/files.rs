//! What the suite says of checkpoints, for those in a directory of files. Everything else is in memory.

use jetway_core::{
    Context, FileCheckpointStore, Merge, WorkItem,
    distributed::{
        InMemoryContextStore, InMemoryErrorStore, InMemoryLivenessStore, InMemoryMetricsStore,
        InMemoryRunInfoStore, InMemoryWorkItemStateStore, InMemoryWorkQueue,
    },
};
use jetway_testing::conformance::stores::{self, MemoryStores, Stores};
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Clone)]
struct InFiles {
    directory: Arc<TempDir>,
    others: MemoryStores,
}

impl Stores for InFiles {
    type Queue<C: Context + 'static, WI: WorkItem + 'static> = InMemoryWorkQueue<WI>;
    type Contexts<C: Context + Merge + 'static> = InMemoryContextStore<C>;
    type Checkpoints<C: Context + 'static, WI: WorkItem + 'static> = FileCheckpointStore<C, WI>;
    type Items<WI: WorkItem + 'static> = InMemoryWorkItemStateStore<WI>;
    type Runs = InMemoryRunInfoStore;
    type Metrics = InMemoryMetricsStore;
    type Errors = InMemoryErrorStore;
    type Liveness = InMemoryLivenessStore;

    async fn another(&self) -> Self {
        self.clone()
    }

    fn queue<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Queue<C, WI> {
        self.others.queue::<C, WI>()
    }

    fn contexts<C: Context + Merge + 'static>(&self) -> Self::Contexts<C> {
        self.others.contexts()
    }

    fn checkpoints<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Checkpoints<C, WI> {
        FileCheckpointStore::new(self.directory.path())
    }

    fn items<WI: WorkItem + 'static>(&self) -> Self::Items<WI> {
        self.others.items()
    }

    fn runs(&self) -> Self::Runs {
        self.others.runs()
    }

    fn metrics(&self) -> Self::Metrics {
        self.others.metrics()
    }

    fn errors(&self) -> Self::Errors {
        self.others.errors()
    }

    fn liveness(&self) -> Self::Liveness {
        self.others.liveness()
    }
}

/// The cases that save checkpoints.
const CASES: [&str; 11] = [
    "a_checkpoint_is_saved_before_the_first_step",
    "a_checkpoint_wins_over_the_input",
    "one_context_may_be_given_to_several_runs",
    "a_run_that_has_ended_is_not_executed_again",
    "a_run_that_was_not_started_is_not_resumed",
    "a_run_is_resumed_at_its_last_item",
    "a_limit_is_that_of_the_call",
    "a_checkpoint_made_by_hand_is_a_place_to_begin",
    "a_lost_process_s_run_is_resumed_elsewhere",
    "items_run_in_the_order_they_were_begotten",
    "h3_a_later_run_keeps_its_checkpoint",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_in_files_keep_what_the_suite_promises() {
    for case in CASES {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        stores::run(case, InFiles { directory, others: MemoryStores::new() }).await;
    }
}
