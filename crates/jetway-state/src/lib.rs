//! The rules of Jetway: the record of a run, and how it changes.
//!
//! Internal to Jetway: depend on the `jetway` crate, which re-exports the public items.
//!
//! Every function of this crate is pure: no I/O, no clock, no randomness, no tasks. The crate depends neither on tokio nor on
//! a source of time or randomness, and clippy refuses those of the standard library (`clippy.toml`).

#![deny(missing_docs)]

#[doc(hidden)]
pub mod broken_rule;
pub mod call_chain;
pub mod codec;
pub mod drawing;
pub mod error;
pub mod graph;
pub mod id;
pub mod incarnation;
pub mod json;
pub mod run;
pub mod seen;
pub mod start_message;
pub mod time;
pub mod trace;
pub mod value;
pub mod view;

pub use error::{Error, FloxideError, STORE_ELSEWHERE};
pub use graph::{EdgeKind, Fingerprint, Graph, GraphEdge, GraphNode, NodeState};
pub use id::{BadName, CommitId, ItemId, Namespace, RunId, RunKey, SignalName, WorkflowName};
pub use incarnation::{BadIncarnation, Incarnation};
pub use seen::{Belief, Seen, StoreId};
pub use start_message::{BadStartId, StartId, StartMessage};
pub use time::{Rounded, Timestamp};
