//! The workflows of an engine, by name.

use jetway_core::step::AnyWorkflow;
use std::{collections::BTreeMap, sync::Arc};

/// The workflows of an engine, by name.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<dyn AnyWorkflow>>);

/// Why workflows cannot be served together.
#[derive(Debug)]
pub(crate) enum RegistryError {
    Empty,
    SameName(String),
}

impl Registry {
    pub(crate) fn new(workflows: Vec<Arc<dyn AnyWorkflow>>) -> Result<Self, RegistryError> {
        let mut by_name = BTreeMap::new();
        for workflow in workflows {
            let name = workflow.name().to_string();
            if by_name.insert(name.clone(), workflow).is_some() {
                return Err(RegistryError::SameName(name));
            }
        }
        if by_name.is_empty() { Err(RegistryError::Empty) } else { Ok(Self(by_name)) }
    }

    /// The workflow of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyWorkflow>> {
        self.0.get(name)
    }

    /// All workflows, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyWorkflow>> {
        self.0.values()
    }

    /// The names, separated by commas.
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
