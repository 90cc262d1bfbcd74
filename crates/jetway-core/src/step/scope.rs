//! The step that a node runs in, as the node sees it.

use super::{ChildSlot, Heartbeats, TimeLeft};
use crate::{
    clock::{Clock, SystemClock},
    retry_policy::RetryPolicy,
    signal::Answer,
};
use jetway_state::{Error, Incarnation, ItemId, RunKey};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static SCOPE: Arc<StepScope>;
}

/// The step that a node runs in: its ids, attempt, deadline and cancellation. See [`step()`].
pub struct StepScope {
    run: RunKey,
    incarnation: Incarnation,
    item: ItemId,
    attempt: u32,
    limit: Option<Duration>,
    deadline: Option<Instant>,
    cancel: CancellationToken,
    /// The idempotency key of the step that this one runs in.
    outer: Option<String>,
    /// The clock of the run.
    clock: Option<Arc<dyn Clock>>,
    /// Takes the retry policy of the node. Set on hosts alone.
    policy: Option<Arc<Mutex<Option<RetryPolicy>>>>,
    /// Takes the request for a child run. Set on hosts alone.
    child: Option<Arc<ChildSlot>>,
    /// The answer to the wait of the item.
    answer: Option<Answer>,
    /// The position in the batch, after those in the batches around it.
    parts: Vec<usize>,
    /// How often a node with a retry policy was called.
    tries: Arc<AtomicU32>,
    /// What is left of the time that the step has, at the begin of the attempt.
    time_left: Option<TimeLeft>,
    heartbeats: Arc<Heartbeats>,
}

/// The number of the latest call of a node, known after its scope is gone.
#[derive(Debug)]
pub(crate) struct LastTry {
    attempt: u32,
    tries: Arc<AtomicU32>,
}

impl LastTry {
    /// The number of the attempt that a failure is an error of: with a retry policy, each call is an attempt.
    pub(crate) fn number(&self) -> u32 {
        self.attempt.saturating_add(self.tries.load(Relaxed).saturating_sub(1))
    }
}

impl StepScope {
    pub(crate) fn new(
        run: RunKey,
        incarnation: Incarnation,
        item: ItemId,
        attempt: u32,
        timeout: Option<Duration>,
        cancel: CancellationToken,
    ) -> Self {
        let outer = step().map(|outer| outer.idempotency_key());
        Self {
            run,
            incarnation,
            item,
            attempt,
            limit: timeout,
            deadline: timeout.map(|limit| Instant::now() + limit),
            cancel,
            outer,
            clock: None,
            policy: None,
            child: None,
            answer: None,
            parts: Vec::new(),
            tries: Arc::default(),
            time_left: None,
            heartbeats: Arc::default(),
        }
    }

    pub(crate) fn with_heartbeats(self, heartbeats: &Arc<Heartbeats>) -> Self {
        Self { heartbeats: Arc::clone(heartbeats), ..self }
    }

    /// The step has to be done in this time.
    pub(crate) fn with_time_left(self, time_left: Option<TimeLeft>) -> Self {
        Self { time_left, ..self }
    }

    pub(super) fn time_left(&self) -> Option<TimeLeft> {
        self.time_left.clone()
    }

    pub(super) fn heartbeats(&self) -> Arc<Heartbeats> {
        Arc::clone(&self.heartbeats)
    }

    pub(crate) fn with_clock(self, clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Some(Arc::clone(clock)), ..self }
    }

    /// The clock of the run, for what waits within the step.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock))
    }

    /// The host makes the further attempts at a node with a policy, which it finds in `policy`. It holds that of the host at first.
    pub(crate) fn with_durable_retries(self, policy: &Arc<Mutex<Option<RetryPolicy>>>) -> Self {
        Self { policy: Some(Arc::clone(policy)), ..self }
    }

    /// Whether the host makes the further attempts at this node, by its policy.
    pub(crate) fn takes_policy(&self, policy: &RetryPolicy) -> bool {
        self.set_policy(Some(policy.clone()))
    }

    /// The node has given up: no policy applies.
    pub(crate) fn refuse_retries(&self) {
        self.set_policy(None);
    }

    fn set_policy(&self, policy: Option<RetryPolicy>) -> bool {
        let Some(slot) = &self.policy else { return false };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = policy;
        true
    }

    pub(crate) fn with_child(self, child: Arc<ChildSlot>) -> Self {
        Self { child: Some(child), ..self }
    }

    pub(crate) fn with_answer(self, answer: Option<Answer>) -> Self {
        Self { answer, ..self }
    }

    pub(crate) fn child(&self) -> Option<&ChildSlot> {
        self.child.as_deref()
    }

    /// The scope of one input of a batch. It cannot request a child run: a step has one at most.
    fn part(&self, position: usize) -> Self {
        let parts = self.parts.iter().copied().chain([position]).collect();
        Self { policy: None, child: None, answer: None, parts, tries: Arc::default(), ..self.copy() }
    }

    /// The same scope with a token of its own, and with this deadline if it is earlier.
    pub(super) fn limited(&self, cancel: CancellationToken, deadline: Option<Instant>) -> Self {
        let deadline = self.deadline.into_iter().chain(deadline).min();
        Self { cancel, deadline, ..self.copy() }
    }

    fn copy(&self) -> Self {
        Self {
            run: self.run.clone(),
            incarnation: self.incarnation,
            item: self.item.clone(),
            attempt: self.attempt,
            limit: self.limit,
            deadline: self.deadline,
            cancel: self.cancel.clone(),
            outer: self.outer.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            child: self.child.clone(),
            answer: self.answer.clone(),
            parts: self.parts.clone(),
            tries: Arc::clone(&self.tries),
            time_left: self.time_left.clone(),
            heartbeats: Arc::clone(&self.heartbeats),
        }
    }

    /// The run that the step belongs to.
    pub fn run(&self) -> &RunKey {
        &self.run
    }

    /// The identity of this start of the run id: a run id can be used again when its record has expired.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The id of the work item. It is the same for every attempt at it.
    pub fn item_id(&self) -> &ItemId {
        &self.item
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The signals that the node has waited for, or that its deadline has passed; `None` where it has not waited yet. Every
    /// attempt at the step gets the same answer, until the node waits again.
    pub fn answer(&self) -> Option<Answer> {
        self.answer.clone()
    }

    /// A key for calls to other systems. It is the same for every attempt at this step, so a system that ignores a
    /// second call with the same key executes the call once. A run that is started again under its id has other keys.
    ///
    /// A step of a workflow within a step (see [`CompositeNode`](crate::CompositeNode)) has the key of the outer step
    /// as a prefix. The rest depends on the input of the inner run, so it is the same for a repeated attempt. Each
    /// input of a [`BatchNode`](crate::BatchNode) has its own key.
    pub fn idempotency_key(&self) -> String {
        let outer = self.outer.as_ref().map(|outer| format!("{outer}/")).unwrap_or_default();
        let parts: String = self.parts.iter().map(|position| format!("/{position}")).collect();
        format!("{outer}{}/{}/{}{parts}", self.run, self.incarnation, self.item)
    }

    /// The time, by the clock that the run's times come from: on hosts it is that of the server. Hosts agree on it to some
    /// milliseconds, whatever their own clocks say.
    pub fn now(&self) -> SystemTime {
        self.clock.as_deref().unwrap_or(&SystemClock).exact()
    }

    /// The time at which the attempt is stopped; `None` where it has no time limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Says that the node is alive, and how far it is. A node with `#[heartbeat = limit]` has to say so within each limit, or its
    /// attempt fails with [`Error::Timeout`].
    ///
    /// On hosts the last detail is kept, at most one a second while the node runs, and given to the next attempt:
    /// [`last_heartbeat`](Self::last_heartbeat). This call waits for nothing.
    ///
    /// # Errors
    /// The detail is no JSON, or larger than [`MAX_HEARTBEAT`](super::MAX_HEARTBEAT).
    pub fn heartbeat(&self, detail: impl Serialize) -> Result<(), Error> {
        self.heartbeats.beat(&detail)
    }

    /// The detail of the last heartbeat of the attempts before this one. `None` if there was none, or if it is lost: it is a hint,
    /// and the step has to be right without it.
    ///
    /// # Errors
    /// The detail is of another type.
    pub fn last_heartbeat<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.heartbeats.last_before()
    }

    /// Counts one call of a node with a retry policy. Returns its number: with such a policy, each call is an attempt.
    pub(crate) fn count_try(&self) -> i64 {
        i64::from(self.attempt) + i64::from(self.tries.fetch_add(1, Relaxed))
    }

    pub(crate) fn last_try(&self) -> LastTry {
        LastTry { attempt: self.attempt, tries: Arc::clone(&self.tries) }
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The token that is cancelled when the attempt must stop: the host stops, the run has ended, or somebody cancels the run. In the
    /// last case the node is not dropped: it may stop with an error, or finish its step, which counts then.
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

/// The step that the calling node runs in; `None` outside of a node. A task that a node spawns does not inherit it.
///
/// ```
/// use jetway_core::{Transition, Workflow, WorkflowCtx, step};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! {
///     pub struct Charge;
///     input = u64;
///     output = String;
///     |_, _amount| Ok(Transition::Next(step().map(|step| step.idempotency_key()).unwrap_or_default()))
/// }
/// workflow! { pub struct Billing { charge: Charge } name = "billing"; start = charge; edges { charge => []; } }
///
/// # fn main() {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// let key = runtime.block_on(Billing { charge: Charge }.run(&WorkflowCtx::new(()), 5)).expect("it completes");
/// assert!(key.starts_with("billing/") && key.ends_with("/start"), "{key}");
/// # }
/// ```
pub fn step() -> Option<Arc<StepScope>> {
    SCOPE.try_with(Arc::clone).ok()
}

pub(crate) async fn within<F: Future>(scope: StepScope, future: F) -> F::Output {
    SCOPE.scope(Arc::new(scope), future).await
}

/// The same with a scope that may be there.
pub(super) async fn within_shared<F: Future>(scope: Option<Arc<StepScope>>, future: F) -> F::Output {
    match scope {
        Some(scope) => SCOPE.scope(scope, future).await,
        None => future.await,
    }
}

/// Polls `future` in the scope of one input of a batch. Outside of a step there is no scope.
pub(crate) async fn within_part<F: Future>(position: usize, future: F) -> F::Output {
    match step() {
        Some(step) => within(step.part(position), future).await,
        None => future.await,
    }
}
