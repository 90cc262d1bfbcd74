//! What the cases are about.

use jetway_core::{
    CheckpointStore, Context, Merge, WorkItem,
    distributed::{
        ContextStore, ErrorStore, LivenessStore, MetricsStore, RunInfoStore, WorkItemStateStore, WorkQueue,
    },
};

/// Stores under test: one of each kind for every type that is asked for. Fresh for its case.
pub trait Stores: Clone + Send + Sync + 'static {
    /// Where work items wait.
    type Queue<C: Context + 'static, WI: WorkItem + 'static>: WorkQueue<C, WI>;
    /// Where contexts and records are kept. They keep records.
    type Contexts<C: Context + Merge + 'static>: ContextStore<C> + Clone + 'static;
    /// Where checkpoints are kept.
    type Checkpoints<C: Context + 'static, WI: WorkItem + 'static>: CheckpointStore<C, WI>
        + Clone
        + Send
        + Sync
        + 'static;
    /// Where it is kept how work items fare.
    type Items<WI: WorkItem + 'static>: WorkItemStateStore<WI> + Clone + 'static;
    /// Where runs are listed.
    type Runs: RunInfoStore + Clone + 'static;
    /// Where the numbers of runs are kept.
    type Metrics: MetricsStore + Clone + 'static;
    /// Where failed attempts are recorded.
    type Errors: ErrorStore + Clone + 'static;
    /// Where workers give signs of life.
    type Liveness: LivenessStore + Clone + 'static;

    /// The same stores as another process sees them.
    fn another(&self) -> impl Future<Output = Self> + Send;

    /// The queue of these items. It says soon that nothing waits.
    fn queue<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Queue<C, WI>;
    /// The contexts of this type.
    fn contexts<C: Context + Merge + 'static>(&self) -> Self::Contexts<C>;
    /// The checkpoints of these types.
    fn checkpoints<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Checkpoints<C, WI>;
    /// How items of this type fare.
    fn items<WI: WorkItem + 'static>(&self) -> Self::Items<WI>;
    /// The list of runs.
    fn runs(&self) -> Self::Runs;
    /// The numbers of runs.
    fn metrics(&self) -> Self::Metrics;
    /// The failed attempts.
    fn errors(&self) -> Self::Errors;
    /// The signs of life.
    fn liveness(&self) -> Self::Liveness;
}
