//! What a host tells about itself when it starts.

use jetway_state::{Namespace, WorkflowName};
use serde::Serialize;

/// What a host is connected to, and what it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HostFacts {
    /// Names this host among those that are alive.
    pub host: String,
    /// The servers' addresses.
    pub nats: Vec<String>,
    /// The server's version.
    pub server_version: String,
    /// The namespace.
    pub namespace: Namespace,
    /// What an acknowledged step survives, in a sentence.
    pub durability: String,
    /// The workflows that it serves.
    pub workflows: Vec<WorkflowName>,
    /// How many steps it runs at once.
    pub concurrency: usize,
}

impl HostFacts {
    /// The names of the workflows, as a sentence lists them.
    pub fn workflow_names(&self) -> String {
        self.workflows.iter().map(WorkflowName::as_str).collect::<Vec<_>>().join(", ")
    }
}
