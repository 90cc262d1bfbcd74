//! The model of Jetway and the rules of its engine.
//!
//! Internal to Jetway: depend on the `jetway` crate, which re-exports what is meant for use. This crate knows no NATS
//! and no actors; [`run`] within it is pure.

#![deny(missing_docs)]

// The macros name this crate as its users do, also in its own tests.
#[cfg(test)]
extern crate self as jetway_core;

pub mod backend;
pub mod batch;
pub mod checkpoint;
mod child;
pub mod codec;
pub mod composite;
pub mod context;
pub mod distributed;
pub mod engine;
pub mod error;
pub mod event_log;
pub mod fail_point;
mod failure;
pub mod graph;
pub mod id;
pub mod json;
#[doc(hidden)]
pub mod macro_support;
pub mod memory;
pub mod merge;
pub mod node;
pub mod outcome;
pub mod retry;
pub mod run;
mod shared_state;
pub mod source;
pub mod split;
pub mod time;
pub mod transition;
pub mod workflow;

pub use batch::BatchNode;
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointStore, FileCheckpointStore, InMemoryCheckpointStore,
};
pub use child::ChildRun;
pub use composite::CompositeNode;
pub use context::{Context, WorkflowCtx};
pub use distributed::{ContextStore, StepCallbacks, StepError, WorkQueue};
pub use engine::step;
pub use error::{Error, FloxideError, STORE_ELSEWHERE};
pub use event_log::{EventLog, LoggedEvent};
pub use failure::Failure;
pub use graph::{EdgeKind, Fingerprint, Graph, GraphEdge, GraphNode, NodeState};
pub use id::{BadName, CommitId, ItemId, Namespace, RunId, RunKey, WorkflowName};
pub use merge::{Counter, Fixed, List, Map, Merge, Register, Set};
pub use node::Node;
pub use outcome::{Emission, Outcome};
pub use retry::{BackoffStrategy, RetryError, RetryNode, RetryPolicy, with_retry};
pub use shared_state::SharedState;
pub use source::{Source, source};
pub use split::SplitNode;
pub use time::Timestamp;
pub use transition::Transition;
pub use workflow::{WorkItem, Workflow};
