//! The outcome of an attempt at a work item, in the workflow's own types.

use crate::{WorkItem, new_input::NewInput, wait_for::WaitFor};
use jetway_state::{Error, ItemId, run::Later};
use std::collections::VecDeque;

/// The outcome of an attempt at a work item.
#[derive(Debug, Clone)]
pub enum Outcome<WI, O> {
    /// The node returned one value, with this emission.
    Next(Emission<WI, O>),
    /// The node returned one value, and this emission comes later.
    NextLater(Later, Emission<WI, O>),
    /// The node returned several values, with one emission for each, in their order.
    NextAll(Vec<Emission<WI, O>>),
    /// The node waits for signals, and runs again then.
    WaitFor(WaitFor),
    /// The run continues as new.
    ContinueAsNew(NewInput),
    /// The node ended its branch without a value.
    Hold,
    /// The node failed and its `on_failure` edge was taken.
    Handled {
        /// The error of the node.
        error: Error,
        /// The work items of the targets of the `on_failure` edge.
        emission: Emission<WI, O>,
    },
    /// The node failed, and no `on_failure` edge handles it.
    Failed(Error),
}

/// The effect of one value of a node, by the edges of the graph.
#[derive(Debug, Clone)]
pub struct Emission<WI, O> {
    /// The work items of the successors, in the order of the edges.
    pub items: Vec<WI>,
    /// The value itself, where it is an output of the run.
    pub output: Option<O>,
}

impl<WI, O> Emission<WI, O> {
    /// The value starts these work items.
    pub fn to(items: Vec<WI>) -> Self {
        Self { items, output: None }
    }

    /// The value is an output of the run.
    pub fn output(output: O) -> Self {
        Self { items: Vec::new(), output: Some(output) }
    }
}

impl<WI: WorkItem, O> Outcome<WI, O> {
    /// Appends the successors to `queue`, with ids that are derived from `parent`, and returns the first output. This
    /// is the result of [`process_work_item`](crate::Workflow::process_work_item).
    ///
    /// # Errors
    /// The error of [`Outcome::Failed`]. A queue has no timers and no signals, so a value that is passed on later is an error, and so
    /// are a wait and a run that continues as new.
    pub fn into_queue(self, parent: &str, queue: &mut VecDeque<WI>) -> Result<Option<O>, Error> {
        let emissions = match self {
            Self::Next(emission) | Self::Handled { emission, .. } => vec![emission],
            Self::NextAll(emissions) => emissions,
            Self::NextLater(..) => return Err(no_timers()),
            Self::WaitFor(_) => return Err(no_signals()),
            Self::ContinueAsNew(_) => return Err(no_new_run()),
            Self::Hold => Vec::new(),
            Self::Failed(error) => return Err(error),
        };
        let mut output = None;
        let mut position = 0;
        for emission in emissions {
            output = output.or(emission.output);
            for item in emission.items {
                queue.push_back(item.with_instance_id(ItemId::successor(parent, position).to_string()));
                position += 1;
            }
        }
        Ok(output)
    }
}

/// The error of a node that waits where nothing can wake the run.
fn no_timers() -> Error {
    Error::Generic(
        "the node passes its value on later (NextAfter or NextAt), and a run over stores has no timers: run the workflow on hosts, \
         or in memory with `Workflow::run`"
            .to_owned(),
    )
}

/// The error of a node that waits where nobody can send a signal to the run.
fn no_signals() -> Error {
    Error::Generic(
        "the node waits for a signal (WaitFor), and a run over stores has no mailbox: run the workflow on hosts, or in memory with \
         `Workflow::run`"
            .to_owned(),
    )
}

/// The error of a node that continues its run as new where no runner can begin it anew.
pub(crate) fn no_new_run() -> Error {
    Error::Generic(
        "the node continues its run as new (ContinueAsNew), and a run over stores cannot: run the workflow on hosts, or in memory \
         with `Workflow::run`"
            .to_owned(),
    )
}

impl<WI, O> Outcome<WI, O> {
    /// The same outcome where nothing can wake the run: a node that waits has failed.
    pub(crate) fn without_waits(self) -> Self {
        match self {
            Self::NextLater(..) => Self::Failed(no_timers()),
            Self::WaitFor(_) => Self::Failed(no_signals()),
            Self::ContinueAsNew(_) => Self::Failed(no_new_run()),
            outcome => outcome,
        }
    }
}
