//! The workflow model of Jetway, and the runners that need no host.
//!
//! Internal to Jetway: depend on the `jetway` crate, which re-exports the public items. This crate knows no hosts, no
//! NATS and no actors. The rules of a run are in `jetway-state`.
//!
//! | module | what it has |
//! |---|---|
//! | [`workflow`], [`node`], [`nodes`], [`transition`], [`outcome`] | the model: workflows, nodes and their results |
//! | [`context`], [`merge`], [`event_log`] | the state that the nodes of a run share, and how concurrent changes are merged |
//! | [`signal`] | signals as nodes see them |
//! | [`mod@step`] | the pipeline that executes one step, shared with hosts |
//! | [`typed`] | a workflow without its types, for hosts |
//! | [`checkpoint`] | checkpoints of runs within one process |
//! | [`stores`], [`workers`] | runs over stores that the caller chooses |
//! | [`distributed`] | both under the paths of floxide |

#![deny(missing_docs)]

// The macros generate paths that start with the crate's name.
#[cfg(test)]
extern crate self as jetway_core;

pub mod checkpoint;
pub mod clock;
pub mod context;
pub mod distributed;
pub mod event_log;
mod failure;
#[doc(hidden)]
pub mod macro_support;
pub mod merge;
mod new_input;
pub mod node;
pub mod nodes;
pub mod outcome;
mod panics;
mod retry_policy;
mod shared_state;
pub mod signal;
mod signal_sender;
pub mod step;
pub mod step_rules;
pub mod stores;
pub mod transition;
pub mod typed;
mod wait_for;
mod work_item;
pub mod workers;
pub mod workflow;

// Paths of floxide.
pub use jetway_state::{
    error,
    run::{self, OnParentCancel},
};
pub use nodes::{batch, composite, retry, source, split};

pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointStore, FileCheckpointStore, InMemoryCheckpointStore,
};
pub use context::{Context, WorkflowCtx};
pub use event_log::{EventLog, LoggedEvent};
pub use failure::Failure;
pub use jetway_state::{
    BadName, CommitId, EdgeKind, Error, Fingerprint, FloxideError, Graph, GraphEdge, GraphNode, ItemId,
    Namespace, NodeState, RunId, RunKey, STORE_ELSEWHERE, Timestamp, WorkflowName,
};
pub use merge::{Counter, Fixed, List, Map, Merge, Register, Set};
pub use new_input::NewInput;
pub use node::Node;
pub use nodes::{
    Answered, Approval, BackoffStrategy, BatchNode, ChildOrSignal, ChildRun, ChildRuns, CompositeNode,
    Decision, Delay, DetachedRun, Exhausted, FirstOf, RetryError, RetryNode, RetryPolicy, Source, SplitNode,
    WaitForSignal, YesOrNo, with_retry,
};
pub use outcome::{Emission, Outcome};
pub use shared_state::SharedState;
pub use signal::{Answer, Signal, SignalType};
pub use signal_sender::SignalSender;
pub use step::step;
pub use stores::{ContextStore, WorkQueue};
pub use transition::Transition;
pub use wait_for::WaitFor;
pub use work_item::WorkItem;
pub use workflow::{
    Workflow,
    callbacks::{StepCallbacks, StepError},
};
