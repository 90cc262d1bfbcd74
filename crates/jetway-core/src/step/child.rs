//! How a node requests child runs and gets their results.

use super::erased::AnyWorkflow;
use jetway_state::{
    Error, RunKey,
    run::{ChildStart, ChildWanted, EncodedOutput, OnParentCancel, RunInput, SignalWanted},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A child run that a node requests.
#[derive(Clone)]
pub struct ChildSpec {
    /// The run.
    pub run: RunKey,
    /// Its workflow.
    pub workflow: Arc<dyn AnyWorkflow>,
    /// Its first work item and its context.
    pub input: RunInput,
    /// What becomes of it if its parent ends or is cancelled before.
    pub on_cancel: OnParentCancel,
    /// How long its parent waits for it; `None` for ever.
    pub within: Option<Duration>,
    /// The signals that its parent waits for as well.
    pub or: Option<SignalWanted>,
}

impl ChildSpec {
    /// The same child, of a parent that waits for signals as well.
    pub(crate) fn or(self, signals: SignalWanted) -> Self {
        Self { or: Some(signals), ..self }
    }

    /// The child as the rules have it.
    pub fn wanted(&self) -> ChildWanted {
        let (run, or) = (self.run.clone(), self.or.clone());
        ChildWanted { run, on_cancel: self.on_cancel, within: self.within, or }
    }

    /// The intent to start it where nobody waits for it.
    pub(crate) fn start(&self) -> ChildStart {
        ChildStart {
            run: self.run.clone(),
            input: self.input.clone(),
            build: self.workflow.fingerprint(),
            has_clean_up: self.workflow.graph().has_clean_up(),
            limit: self.workflow.deadline(),
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("run", &self.run).finish_non_exhaustive()
    }
}

/// What a node requests.
#[derive(Debug, Clone)]
pub enum ChildRequest {
    /// A child run to wait for. The node returns `Hold`.
    One(ChildSpec),
    /// Many child runs to wait for. The node returns `Hold`.
    Many(ManySpec),
    /// A child run to be started once the step is committed. The node returns a value.
    Detached(ChildSpec),
}

/// Many child runs that a node requests.
#[derive(Debug, Clone)]
pub struct ManySpec {
    /// The number of all of them.
    pub count: u32,
    /// How many of them run at once.
    pub bound: u32,
    /// Whether the first that fails ends the wait.
    pub fail_fast: bool,
    /// Those to be started now, by position.
    pub named: Vec<(u32, ChildSpec)>,
}

/// The encoded output of a child run that has ended, or the reason why it has none.
pub type ChildResult = Result<EncodedOutput, ChildError>;

/// Why a child run has no output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildError {
    /// It failed, was cancelled, or could not be started.
    Failed(String),
    /// It had not ended in time.
    Late,
}

impl ChildError {
    /// The error of the step that has waited for it for so long.
    pub(crate) fn into_error(self, within: Option<Duration>) -> Error {
        match self {
            Self::Failed(reason) => Error::Failed(reason),
            Self::Late => Error::Timeout(within.unwrap_or_default()),
        }
    }
}

/// What is known of the child runs that an item waits for.
#[derive(Debug, Clone, Default)]
pub enum ChildNews {
    /// Nothing: the node requests them.
    #[default]
    None,
    /// The child run has ended.
    Ended(ChildResult),
    /// Of many child runs, those at these positions are to be requested.
    Wanted(Vec<u32>),
    /// Many child runs have ended, all of them.
    AllEnded(Vec<ChildResult>),
    /// One of many child runs has failed, and that is enough.
    OneFailed(ChildError),
}

/// Connects a node to its child runs: it takes the request and holds the news.
#[derive(Debug)]
pub(crate) struct ChildSlot {
    news: ChildNews,
    request: Mutex<Option<ChildRequest>>,
}

impl ChildSlot {
    pub(crate) fn new(news: ChildNews) -> Self {
        Self { news, request: Mutex::new(None) }
    }

    /// What is known of the child runs that the item has waited for.
    pub(crate) fn news(&self) -> &ChildNews {
        &self.news
    }

    pub(crate) fn request(&self, request: ChildRequest) {
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
    }

    /// Takes what the node has requested.
    pub(crate) fn take_request(&self) -> Option<ChildRequest> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
