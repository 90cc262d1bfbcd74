//! Durable, typed workflows whose only infrastructure is a NATS JetStream server.
//!
//! A workflow is a graph of nodes written in Rust. A [`Host`] runs its steps next to a NATS server; any NATS client, in
//! any language, starts a run by publishing a message. A step is committed whole or not at all, so a run goes on
//! where it was when a host, or all of them, have died.
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
//! With a server and this program running, `nats req jetway.default.api.start.order 4 -H Jetway-Wait:10s` answers with
//! the invoice, and `nats pub jetway.default.start.order 4` leaves a start message that is carried out even if no host
//! is up yet. From Rust, a [`Client`] does the same with types. Without any server, [`Workflow::run`] runs a workflow
//! in the calling task.
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | [`node!`](macro@node), [`workflow!`](macro@workflow) | write nodes and the graph |
//! | [`Transition`] | what a node answers: one value, many, none, or an error |
//! | [`SharedState`], [`Merge`] | state that the nodes of a run share, also when they run at the same time |
//! | [`step()`] | what a node can know about the step it is in: an idempotency key, the deadline, cancellation |
//! | [`Host`] | serves workflows |
//! | [`Client`] | starts runs and asks for their results |
//! | [`telemetry`] | logs and traces |
//! | [`distributed`], [`checkpoint`] | the engine without hosts, over stores of your own |
//!
//! # What is promised
//!
//! * A start message that was acknowledged is a run.
//! * A step happens whole or not at all: its change to the context, its output and what follows it are one write.
//! * A step may be *executed* more than once, after a crash; it is *committed* exactly once. Calls to other systems are
//!   made safe with [`StepScope::idempotency_key`].
//! * A run that has ended never changes again.

#![deny(missing_docs)]

mod background;
pub mod client;
pub mod guide;
pub mod host;
pub mod nats;
pub mod prelude;
pub mod telemetry;

#[doc(hidden)]
pub use jetway_core::macro_support;

pub use client::Client;
pub use host::{Host, HostHandle, shutdown_requested};
pub use jetway_core::{
    BackoffStrategy, BatchNode, Checkpoint, CheckpointError, CheckpointStore, ChildRun, CompositeNode,
    Context, ContextStore, Counter, EventLog, Failure, FileCheckpointStore, Fixed, InMemoryCheckpointStore,
    LoggedEvent, Merge, Node, RetryError, RetryNode, RetryPolicy, SharedState, Source, SplitNode,
    StepCallbacks, StepError, Transition, WorkItem, WorkQueue, Workflow, WorkflowCtx, checkpoint, context,
    distributed, event_log, merge, node,
    nodes::{batch, composite, retry, source, split},
    step,
    step::StepScope,
    transition, with_retry, workflow,
};
pub use jetway_engine as engine;
pub use jetway_engine::memory;
pub use jetway_macros::{Merge, node, workflow};
pub use jetway_state::{
    BadName, EdgeKind, Error, Fingerprint, FloxideError, Graph, GraphEdge, GraphNode, ItemId, Namespace,
    NodeState, RunId, RunKey, Timestamp, WorkflowName, error, run,
};
pub use nats::{NatsAuth, NatsConfig};

/// The README's example is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
