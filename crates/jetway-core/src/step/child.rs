//! How a node requests a child run and gets its result.

use super::erased::{AnyWorkflow, ChildResult};
use jetway_state::run::RunInput;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A child run that a node requests.
#[derive(Clone)]
pub struct ChildSpec {
    workflow: Arc<dyn AnyWorkflow>,
    input: RunInput,
}

impl ChildSpec {
    /// A run of `workflow` that starts with this input.
    pub fn new(workflow: Arc<dyn AnyWorkflow>, input: RunInput) -> Self {
        Self { workflow, input }
    }

    /// The workflow of the child.
    pub fn workflow(&self) -> &Arc<dyn AnyWorkflow> {
        &self.workflow
    }

    /// The first work item and the context of the child.
    pub fn input(&self) -> &RunInput {
        &self.input
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

/// Connects a node to its child run: it takes the request and holds the result.
#[derive(Debug)]
pub(crate) struct ChildSlot {
    result: Option<ChildResult>,
    request: Mutex<Option<ChildSpec>>,
}

impl ChildSlot {
    pub(crate) fn new(result: Option<ChildResult>) -> Self {
        Self { result, request: Mutex::new(None) }
    }

    /// The result of the child that the item has waited for.
    pub(crate) fn result(&self) -> Option<ChildResult> {
        self.result.clone()
    }

    /// Requests a child. The node then returns `Hold`.
    pub(crate) fn request(&self, spec: ChildSpec) {
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(spec);
    }

    /// Takes the child that the node has requested.
    pub(crate) fn take_request(&self) -> Option<ChildSpec> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
