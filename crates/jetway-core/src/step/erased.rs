//! The interface of a workflow whose types are erased.

use super::{
    Heartbeats,
    child::{ChildNews, ChildRequest},
};
use crate::{
    clock::Clock,
    retry_policy::RetryPolicy,
    signal::{Answer, SignalType},
    step_rules::BadRules,
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    Error, Fingerprint, Graph, Incarnation, ItemId, RunKey, Timestamp, WorkflowName,
    codec::Encoding,
    run::{AttemptId, EncodedEmission, EncodedOutcome, EncodedOutput, RunInput, UnreadablePart},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// A workflow whose types are erased: all values are encoded. Hosts run workflows through this trait.
#[async_trait]
pub trait AnyWorkflow: Send + Sync + fmt::Debug {
    /// The workflow's name.
    fn name(&self) -> &WorkflowName;

    /// The workflow's graph.
    fn graph(&self) -> &Graph;

    /// A digest of the graph and of the input types. It differs when the workflow has changed.
    fn fingerprint(&self) -> Fingerprint;

    /// The graph in the DOT language of Graphviz.
    fn to_dot(&self) -> &'static str;

    /// The signals that its nodes may wait for.
    fn signals(&self) -> &[SignalType];

    /// How long a run may take, if its start does not say so.
    fn deadline(&self) -> Option<Duration>;

    /// The first work item and the context of a run with that input.
    ///
    /// # Errors
    /// [`Error::Codec`] where the input cannot be decoded as the workflow's input type.
    fn run_input(&self, input: &[u8], encoding: Encoding) -> Result<RunInput, Error>;

    /// Whether this build can execute an item: decodes it and the context.
    ///
    /// # Errors
    /// See [`Unreadable`].
    fn check(&self, node: &str, input: &TaskInput, context: &Bytes) -> Result<(), Unreadable>;

    /// Runs a node once. A panic is a failed attempt.
    ///
    /// # Errors
    /// See [`Unreadable`].
    async fn attempt(&self, task: Task) -> Result<AttemptResult, Unreadable>;

    /// The outcome of an attempt with this input whose result cannot be kept: the `on_failure` edge of its node, if it has one. `now` is
    /// the time, by the clock of the host.
    fn failure(
        &self,
        input: &TaskInput,
        attempt: &AttemptId,
        error: &Error,
        now: Timestamp,
    ) -> EncodedOutcome;

    /// Checks the retry policies and time limits of the nodes.
    ///
    /// # Errors
    /// See [`BadRules`].
    fn check_rules(&self) -> Result<(), BadRules>;

    /// What the `on_cancel` edge of the node leads to, for an item whose run was cancelled; `None` if the node has no such edge.
    ///
    /// # Errors
    /// See [`Unreadable`].
    fn clean_up(&self, node: &str, input: &TaskInput) -> Result<Option<EncodedEmission>, Unreadable>;

    /// Re-applies the change from `base` to `mine` to the context `theirs`.
    ///
    /// # Errors
    /// [`Error::Codec`] where a context cannot be decoded or encoded.
    fn rebase(&self, base: &Bytes, mine: &Bytes, theirs: &Bytes) -> Result<Bytes, Error>;
}

/// An item or a context that this build cannot decode: it cannot execute the item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unreadable {
    /// What cannot be decoded.
    pub part: UnreadablePart,
    /// The Rust type that this build expects; `None` if it does not know the node.
    pub expected: Option<String>,
    /// Why.
    pub error: Error,
}

/// An attempt to execute.
#[derive(Debug, Clone)]
pub struct Task {
    /// The run.
    pub run: RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The encoded work item, or the values of a gathering node.
    pub input: TaskInput,
    /// The encoded context.
    pub context: Bytes,
    /// The time limit of the attempt.
    pub timeout: Option<Duration>,
    /// Cancels the attempt: the node is dropped.
    pub cancel: CancellationToken,
    /// Asks the node to stop, since its run is being cancelled: a child of `cancel`, which the node sees. If the node succeeds all the
    /// same, its step counts.
    pub stop: CancellationToken,
    /// What is known of the child runs that the item has waited for.
    pub child: ChildNews,
    /// The answer to the wait of the item for signals.
    pub answer: Option<Answer>,
    /// The clock that the times of the run come from.
    pub clock: Arc<dyn Clock>,
    /// How many attempts have failed and were made again.
    pub failures: u32,
    /// When the first of them began; `None` if none has failed.
    pub first_at: Option<Timestamp>,
    /// Since when the item is ready.
    pub ready_since: Timestamp,
    /// The message of the last failed attempt.
    pub last_error: Option<String>,
    /// How many attempts ended with the loss of their host, if they are too many: the node does not run, and its step fails.
    pub lost: Option<u32>,
    /// The heartbeats of the attempt.
    pub heartbeats: Arc<Heartbeats>,
    /// The policy for nodes that have none.
    pub retry: Option<RetryPolicy>,
}

impl Task {
    /// The attempt.
    pub fn attempt_id(&self) -> AttemptId {
        let (incarnation, number) = (self.incarnation, self.attempt);
        AttemptId { incarnation, item: self.item.clone(), node: self.node.clone(), number }
    }
}

/// The encoded input of a node.
#[derive(Debug, Clone)]
pub enum TaskInput {
    /// One work item.
    One(Bytes),
    /// The values that arrived at a gathering node, in the order of the fan-out.
    Gathered(Vec<Bytes>),
    /// No node runs: an output of the run has waited for its time.
    Output(EncodedOutput),
}

/// The result of an attempt.
#[derive(Debug)]
pub struct AttemptResult {
    /// The outcome of the node.
    pub produced: EncodedOutcome,
    /// The context after the attempt; `None` where it did not change, or where the node failed.
    pub context: Option<Bytes>,
    /// Whether the attempt ended because its token was cancelled.
    pub cancelled: bool,
    /// The child runs that the node requests and waits for. The outcome is then `Hold`.
    pub requested_child: Option<ChildRequest>,
    /// Where the node failed and runs again. The outcome does not count then.
    pub retry: Option<RetryOf>,
}

/// A failed attempt that another one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOf {
    /// After a delay.
    After(Error, Duration),
    /// When a person asks for it. The text says why there is no other one, if that is not the number of attempts.
    WhenAsked(Error, String),
}

impl AttemptResult {
    /// An output of the run that has waited for its time.
    pub(crate) fn output(output: EncodedOutput) -> Self {
        let emission = EncodedEmission { output: Some(output), ..EncodedEmission::default() };
        Self {
            produced: EncodedOutcome::Next(emission),
            context: None,
            cancelled: false,
            requested_child: None,
            retry: None,
        }
    }
}
