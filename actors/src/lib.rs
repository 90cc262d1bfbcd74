//! The actors of a Jetway host: a worker, a coordinator and a lease keeper, with their supervision.
//!
//! Internal to Jetway: depend on the `jetway` crate, whose host builder starts an [`ActorSystem`]. This is the only
//! crate that depends on actix. It does not depend on NATS: it runs an [`Engine`](jetway_engine::Engine) over any
//! backend. The rules about runs are in the engine. This crate decides which thread does what, how much runs at once,
//! and what happens after a failure.
//!
//! ```text
//!                 thread "jetway-actors": one supervisor for each actor
//!         starts and restarts |             |                   |
//!                             v             v                   v
//!  starts --TakeStart--> Coordinator     Worker <--TakeTicket-- tickets        LeaseKeeper
//!  (a subscription for       |              |       (a subscription for            |
//!   each workflow)           |              |        each workflow)                |
//!                            |              |                                      |
//!                            |              | owns a task for                      | extends leases,
//!                            | owns a task  | each ticket                          | gives back those of
//!                            | for each     |                                      | dropped work
//!                            | message      |                                      |
//!  . . . . . . . . . . . . . v . . . . . .  v . . . . . . . . . . . . . . . . .  . | . . . .
//!  the runtime of the     Engine::       Engine::work ---- HeldLease ---->   HeldLeases
//!  nodes, multi-thread    take_start        (each task holds one while it lives) (a table)
//! ```
//!
//! Each actor has its own arbiter thread. Its `messages.rs` lists the messages that it receives; [`ActorSystem`] sends
//! `Observe`, `Drain` and `Finish`. Every mailbox is bounded, and every message is sent with `send`, which waits for
//! room: a subscription delivers its next message when the mailbox has accepted the last one. So a slow actor slows the
//! delivery, and no queue grows without limit.
//!
//! # Failures
//!
//! | failure | effect |
//! |---|---|
//! | a node fails, panics or hangs | the engine handles it; the actors are not affected |
//! | a node blocks its thread | it keeps its slot; the lease keeper extends its lease from another thread |
//! | a stream of tickets or starts ends | it is opened again, with back-off |
//! | ... because of wrong permissions or stream settings | its actor fails |
//! | an actor fails or panics | its tasks are aborted, their tickets are given back, and it is restarted, with back-off |
//! | ... more often than the restart policy allows | [`ActorSystem::fatal`] resolves; the process should drain and exit with an error |
//! | the runtime of the nodes shuts down before the actors | their messages are delivered again when their leases end, and the actors fail |
//! | a host drains | work that exceeds the limit is cancelled and given back, even if a node does not stop |
//! | the backend is unavailable | tickets are delivered again when their leases end; subscriptions and periodic tasks retry, with back-off |

mod backoff;
mod coordinator;
mod drain;
mod engine_call;
mod lease_keeper;
mod lifecycle;
mod periodic;
mod signals;
mod slots;
mod subscription;
mod supervisor;
mod system;
mod task_watcher;
mod worker;

pub use coordinator::CoordinatorStatus;
pub use drain::Drained;
pub use signals::{ShutdownSignal, shutdown_requested};
pub use supervisor::{ActorHealth, Fatal, RestartPolicy, Restarts};
pub use system::{ActorSystem, SystemConfig, SystemError, SystemStatus};
pub use worker::WorkerStatus;
