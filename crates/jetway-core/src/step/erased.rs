//! A workflow with its types erased.

use super::child::ChildSpec;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    Error, Fingerprint, Graph, ItemId, RunKey, WorkflowName,
    codec::Encoding,
    run::{EncodedOutcome, RunInput},
};
use std::{fmt, time::Duration};
use tokio_util::sync::CancellationToken;

/// A workflow with its types erased: the engine sees encoded values only.
#[async_trait]
pub trait AnyWorkflow: Send + Sync + fmt::Debug {
    /// The workflow's name.
    fn name(&self) -> &WorkflowName;

    /// Its graph.
    fn graph(&self) -> &Graph;

    /// Stands for the graph and the types of the inputs.
    fn fingerprint(&self) -> Fingerprint;

    /// The graph in Graphviz's DOT language.
    fn to_dot(&self) -> &'static str;

    /// The first work item and context of a run with that input.
    ///
    /// # Errors
    /// [`Error::Codec`] where the input has the wrong shape.
    fn run_input(&self, input: &[u8], encoding: Encoding) -> Result<RunInput, Error>;

    /// Runs a node once. A panic is a failed attempt.
    ///
    /// # Errors
    /// Where the item or the context cannot be decoded: this build cannot run it.
    async fn attempt(&self, task: Task) -> Result<AttemptResult, Error>;

    /// Re-applies to the context `theirs` what `mine` made of `base`.
    ///
    /// # Errors
    /// [`Error::Codec`] where a context cannot be decoded or encoded.
    fn rebase(&self, base: &Bytes, mine: &Bytes, theirs: &Bytes) -> Result<Bytes, Error>;
}

/// One attempt to be made.
#[derive(Debug, Clone)]
pub struct Task {
    /// The run.
    pub run: RunKey,
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
    /// Limits the time of the attempt.
    pub timeout: Option<Duration>,
    /// Cancels the attempt.
    pub cancel: CancellationToken,
    /// How the child run ended that the item has waited for.
    pub child: Option<ChildEnd>,
}

/// The encoded output of a child run that has ended, or why there is none.
pub type ChildEnd = Result<Bytes, String>;

/// What a node is to be run with, encoded.
#[derive(Debug, Clone)]
pub enum TaskInput {
    /// One work item.
    One(Bytes),
    /// The values that reached a gathering node, in order.
    Gathered(Vec<Bytes>),
}

/// What came of an attempt.
#[derive(Debug)]
pub struct AttemptResult {
    /// What the node answered.
    pub produced: EncodedOutcome,
    /// The context after it; `None` where it is as before, or where the node failed.
    pub context: Option<Bytes>,
    /// Whether the attempt ended because its token was cancelled.
    pub cancelled: bool,
    /// The child run that the node asks for; it answered `Hold` then.
    pub asked: Option<ChildSpec>,
}
