//! What a node can know about the step that it runs in.

use super::ChildSlot;
use jetway_state::{ItemId, RunKey};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static SCOPE: Arc<StepScope>;
}

/// The step that a node runs in.
pub struct StepScope {
    run: RunKey,
    item: ItemId,
    attempt: u32,
    limit: Option<Duration>,
    deadline: Option<Instant>,
    cancel: CancellationToken,
    /// The key of the step that this one runs in.
    outer: Option<String>,
    /// Where a child run is asked for, on a host.
    child: Option<Arc<ChildSlot>>,
    /// Which of the inputs of a batch, and of the batches that it is in.
    parts: Vec<usize>,
}

impl StepScope {
    pub(crate) fn new(
        run: RunKey,
        item: ItemId,
        attempt: u32,
        timeout: Option<Duration>,
        cancel: CancellationToken,
    ) -> Self {
        let outer = step().map(|outer| outer.idempotency_key());
        Self {
            run,
            item,
            attempt,
            limit: timeout,
            deadline: timeout.map(|limit| Instant::now() + limit),
            cancel,
            outer,
            child: None,
            parts: Vec::new(),
        }
    }

    pub(crate) fn with_child(self, child: Arc<ChildSlot>) -> Self {
        Self { child: Some(child), ..self }
    }

    pub(crate) fn child(&self) -> Option<&ChildSlot> {
        self.child.as_deref()
    }

    /// The scope of one input of a batch. A child run is one for the whole step, so what asks for it here gets none.
    fn part(&self, position: usize) -> Self {
        let parts = self.parts.iter().copied().chain([position]).collect();
        Self {
            run: self.run.clone(),
            item: self.item.clone(),
            attempt: self.attempt,
            limit: self.limit,
            deadline: self.deadline,
            cancel: self.cancel.clone(),
            outer: self.outer.clone(),
            child: None,
            parts,
        }
    }

    /// The run.
    pub fn run(&self) -> &RunKey {
        &self.run
    }

    /// The id of the work item: the same for every attempt at it.
    pub fn item_id(&self) -> &ItemId {
        &self.item
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// A key for calls to other systems, the same for every attempt at this step: where such a system drops a
    /// second call with the same key, the call takes effect once. The step of a workflow within a step (see
    /// [`CompositeNode`](crate::CompositeNode)) has a key within that of the outer one, by the input of the inner run:
    /// what is tried again has the key that it had. Each input of a [`BatchNode`](crate::BatchNode) has a key of its
    /// own.
    pub fn idempotency_key(&self) -> String {
        let outer = self.outer.as_ref().map(|outer| format!("{outer}/")).unwrap_or_default();
        let parts: String = self.parts.iter().map(|position| format!("/{position}")).collect();
        format!("{outer}{}/{}{parts}", self.run, self.item)
    }

    /// When the attempt is stopped, where it has a time limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Cancelled when the attempt is to stop.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl fmt::Debug for StepScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepScope")
            .field("run", &self.run)
            .field("item", &self.item)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// The step that the calling node runs in; `None` outside of a node. Tasks that a node spawns do not inherit it.
pub fn step() -> Option<Arc<StepScope>> {
    SCOPE.try_with(Arc::clone).ok()
}

pub(crate) async fn within<F: Future>(scope: StepScope, future: F) -> F::Output {
    SCOPE.scope(Arc::new(scope), future).await
}

/// Runs `future` for one input of a batch, where there is a step at all.
pub(crate) async fn within_part<F: Future>(position: usize, future: F) -> F::Output {
    match step() {
        Some(step) => within(step.part(position), future).await,
        None => future.await,
    }
}
