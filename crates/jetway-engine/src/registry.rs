//! The workflows of an engine, by name.

use crate::BuildError;
use jetway_core::step::AnyWorkflow;
use std::{collections::BTreeMap, sync::Arc};

/// The workflows of an engine, by name.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<dyn AnyWorkflow>>);

impl Registry {
    pub(super) fn new(workflows: Vec<Arc<dyn AnyWorkflow>>) -> Result<Self, BuildError> {
        let mut by_name = BTreeMap::new();
        for workflow in workflows {
            let name = workflow.name().to_string();
            if by_name.insert(name.clone(), workflow).is_some() {
                return Err(BuildError::SameName(name));
            }
        }
        if by_name.is_empty() { Err(BuildError::NoWorkflow) } else { Ok(Self(by_name)) }
    }

    /// The workflow of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyWorkflow>> {
        self.0.get(name)
    }

    /// Every workflow, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyWorkflow>> {
        self.0.values()
    }

    /// The names, as a sentence lists them.
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
