//! How a node asks for a child run.

use super::erased::{AnyWorkflow, ChildEnd};
use jetway_state::run::RunInput;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A child run that a node asks for.
#[derive(Clone)]
pub struct ChildSpec {
    workflow: Arc<dyn AnyWorkflow>,
    input: RunInput,
}

impl ChildSpec {
    /// A run of `workflow` with this input.
    pub fn new(workflow: Arc<dyn AnyWorkflow>, input: RunInput) -> Self {
        Self { workflow, input }
    }

    /// The workflow of the child.
    pub fn workflow(&self) -> &Arc<dyn AnyWorkflow> {
        &self.workflow
    }

    /// What the child starts with.
    pub fn input(&self) -> &RunInput {
        &self.input
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

/// Where a node asks for a child run, and is told how it ended.
#[derive(Debug)]
pub(crate) struct ChildSlot {
    end: Option<ChildEnd>,
    asked: Mutex<Option<ChildSpec>>,
}

impl ChildSlot {
    pub(crate) fn new(end: Option<ChildEnd>) -> Self {
        Self { end, asked: Mutex::new(None) }
    }

    /// How the child ended that the item has waited for.
    pub(crate) fn end(&self) -> Option<ChildEnd> {
        self.end.clone()
    }

    /// Asks for a child; the node answers `Hold`.
    pub(crate) fn ask(&self, spec: ChildSpec) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(spec);
    }

    pub(crate) fn asked(&self) -> Option<ChildSpec> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
