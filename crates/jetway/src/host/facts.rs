//! Facts about a host.

use jetway_state::{Namespace, WorkflowName};
use serde::Serialize;

/// Facts about a host: its connection and its workflows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HostFacts {
    /// The unique name of this host.
    pub host: String,
    /// The server addresses.
    pub nats: Vec<String>,
    /// The server version.
    pub server_version: String,
    /// The namespace.
    pub namespace: Namespace,
    /// The durability of a commit, as text.
    pub durability: String,
    /// The workflows that the host serves.
    pub workflows: Vec<WorkflowName>,
    /// The maximum number of concurrent steps per workflow.
    pub concurrency: usize,
}

impl HostFacts {
    /// The names of the workflows, separated by commas.
    pub fn workflow_names(&self) -> String {
        self.workflows.iter().map(WorkflowName::as_str).collect::<Vec<_>>().join(", ")
    }
}
