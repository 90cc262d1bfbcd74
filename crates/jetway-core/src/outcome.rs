//! The outcome of an attempt at a work item, in the workflow's own types.

use crate::WorkItem;
use jetway_state::{Error, ItemId};
use std::collections::VecDeque;

/// The outcome of an attempt at a work item.
#[derive(Debug, Clone)]
pub enum Outcome<WI, O> {
    /// The node returned one value, with this emission.
    Next(Emission<WI, O>),
    /// The node returned several values, with one emission for each, in their order.
    NextAll(Vec<Emission<WI, O>>),
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
    /// The error of [`Outcome::Failed`].
    pub fn into_queue(self, parent: &str, queue: &mut VecDeque<WI>) -> Result<Option<O>, Error> {
        let emissions = match self {
            Self::Next(emission) | Self::Handled { emission, .. } => vec![emission],
            Self::NextAll(emissions) => emissions,
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
