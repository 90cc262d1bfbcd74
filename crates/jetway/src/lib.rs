//! Durable, typed workflows whose only infrastructure is a NATS JetStream server.
//!
//! A workflow is a graph of nodes written in Rust. A [`Host`] is a process that runs its steps; it connects to a NATS
//! server. Any NATS client, in any language, starts a run by publishing a message. Each step is committed atomically, so
//! a run continues after hosts crash.
//!
//! # A workflow and its host
//!
//! ```no_run
//! use jetway::{Error, Host, Transition, node, workflow};
//!
//! node! {
//!     pub struct Price { cents_each: u64 };
//!     context = ();
//!     input = u64;
//!     output = u64;
//!     |_ctx, pieces| {
//!         let cents = pieces.checked_mul(self.cents_each);
//!         let cents = cents.ok_or_else(|| Error::Generic(format!("{pieces} pieces cost too much")))?;
//!         Ok(Transition::Next(cents))
//!     }
//! }
//!
//! node! {
//!     pub struct Invoice {};
//!     context = ();
//!     input = u64;
//!     output = String;
//!     |_ctx, cents| { Ok(Transition::Next(format!("{}.{:02}", cents / 100, cents % 100))) }
//! }
//!
//! workflow! {
//!     pub struct Order { price: Price, invoice: Invoice }
//!     name = "order";
//!     start = price;
//!     context = ();
//!     edges { price => [invoice]; invoice => {}; }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _telemetry = jetway::telemetry::init("orders")?;
//!     let order = Order { price: Price { cents_each: 250 }, invoice: Invoice {} };
//!     Host::from_env().workflow(order).build().await?.run().await?;
//!     Ok(())
//! }
//! ```
//!
//! With a server and this program running, `nats req jetway.default.api.start.order 4 -H Jetway-Wait:10s` returns the
//! result of the run. `nats pub jetway.default.start.order 4` publishes a start message, which the server keeps until a
//! host runs. From Rust, use a [`Client`]. Without a server, [`Workflow::run`] runs a workflow in the calling task.
//!
//! # Overview
//!
//! | item | purpose |
//! |---|---|
//! | [`node!`](macro@node), [`workflow!`](macro@workflow) | define nodes and the graph |
//! | [`Transition`] | what a node returns: one value, several values, none, or an error |
//! | [`SharedState`], [`Merge`] | state that all nodes of a run share, also nodes that run concurrently |
//! | [`step()`] | facts about the current step: idempotency key, deadline, cancellation |
//! | [`Host`] | runs workflows |
//! | [`Client`] | starts runs and reads their results |
//! | [`telemetry`] | logs and traces |
//! | [`distributed`] | workflows without hosts, over stores of your choice |
//! | [`Workflow::run_with_checkpoint`] | runs in one process that can be resumed after a crash |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `otel` | yes | exports traces over OTLP/gRPC; builds tonic, hyper and prost |
//! | `fail-points` | no | stops a process between two operations, for tests of Jetway itself |
//!
//! With `default-features = false` everything else works, and [`telemetry`] writes the log only. The command line is the
//! crate `jetway-cli`; no feature of this crate builds it.
//!
//! # Guarantees
//!
//! * An acknowledged start message becomes a run.
//! * A step is atomic: its change to the context, its output and the next work items are one write.
//! * A step may be *executed* more than once, for example after a crash. It is *committed* exactly once. Use
//!   [`StepScope::idempotency_key`] to make calls to other systems idempotent.
//! * A run that has ended never changes again.

#![deny(missing_docs)]

mod background;
pub mod client;
mod compat;
pub mod guide;
pub mod host;
pub mod nats;
pub mod prelude;
mod store_types;
pub mod telemetry;

#[doc(hidden)]
pub use jetway_core::macro_support;

pub use client::Client;
pub use compat::{
    batch, checkpoint, composite, context, distributed, error, node, retry, source, split, transition,
    workflow,
};
pub use host::{Host, HostHandle, shutdown_requested};
pub use jetway_core::{
    Answer, Answered, Approval, BackoffStrategy, BatchNode, Checkpoint, CheckpointError, CheckpointStore,
    ChildOrSignal, ChildRun, ChildRuns, CompositeNode, Context, Counter, Decision, Delay, DetachedRun,
    EventLog, Exhausted, Failure, FileCheckpointStore, FirstOf, Fixed, InMemoryCheckpointStore, LoggedEvent,
    Merge, NewInput, Node, OnParentCancel, RetryError, RetryNode, RetryPolicy, SharedState, Signal,
    SignalSender, SignalType, Source, SplitNode, Transition, WaitFor, WaitForSignal, WorkItem, Workflow,
    WorkflowCtx, YesOrNo,
    clock::{Clock, SystemClock},
    merge,
    nodes::source::source,
    step::{StepScope, step},
    with_retry,
};
pub use jetway_macros::{Merge, node, workflow};
pub use jetway_state::{
    BadName, EdgeKind, Error, FloxideError, Graph, GraphEdge, GraphNode, Incarnation, ItemId, Namespace,
    RunId, RunKey, SignalName, Timestamp, WorkflowName,
};
pub use nats::{NatsAuth, NatsConfig};

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
