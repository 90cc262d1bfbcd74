//! What came of one attempt at a work item, in the workflow's own types.

use crate::WorkItem;
use jetway_state::{Error, ItemId};
use std::collections::VecDeque;

/// What came of one attempt at a work item.
#[derive(Debug, Clone)]
pub enum Outcome<WI, O> {
    /// The node answered with one value, which led to this.
    Next(Emission<WI, O>),
    /// The node answered with many values; one emission for each, in order.
    NextAll(Vec<Emission<WI, O>>),
    /// The node ended its branch without a value.
    Hold,
    /// The node failed and its `on_failure` edge was taken.
    Handled {
        /// What the node failed with.
        error: Error,
        /// What the fallback nodes are to run.
        emission: Emission<WI, O>,
    },
    /// The node failed and nothing catches it.
    Failed(Error),
}

/// What one value of a node led to, by the edges of the graph.
#[derive(Debug, Clone)]
pub struct Emission<WI, O> {
    /// The work items of the successors, in the order of the edges.
    pub items: Vec<WI>,
    /// The value itself, where an edge leads out of the run.
    pub output: Option<O>,
}

impl<WI, O> Emission<WI, O> {
    /// The value goes to these successors.
    pub fn to(items: Vec<WI>) -> Self {
        Self { items, output: None }
    }

    /// The value is an output of the run.
    pub fn output(output: O) -> Self {
        Self { items: Vec::new(), output: Some(output) }
    }
}

impl<WI: WorkItem, O> Outcome<WI, O> {
    /// Queues the successors under ids derived from `parent` and returns the first output: what
    /// [`process_work_item`](crate::Workflow::process_work_item) answers.
    ///
    /// # Errors
    /// What the node failed with, where nothing catches it.
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
