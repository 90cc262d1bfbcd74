//! The actors of a Jetway host: a worker, a coordinator and a keeper of leases, and their supervision.
//!
//! Internal to Jetway: depend on the `jetway` crate, whose host builder starts an [`ActorSystem`]. This is the only
//! crate that knows of actix. It knows no NATS: it works on an [`Engine`](jetway_engine::Engine) with any
//! backend. It holds no rule about runs either; those are the engine's. What is here is who does what on which thread,
//! how much at once, and what happens when it fails.
//!
//! ```text
//!                 thread "jetway-actors": one supervisor for each actor
//!        builds and rebuilds |              |                   |
//!                            v              v                   v
//!  starts --TakeStart--> Coordinator     Worker <--TakeTicket-- tickets        LeaseKeeper
//!  (a subscription for       |              |       (a subscription for            |
//!   each workflow)           |              |        each workflow)                |
//!                            |              |                                      |
//!                            |              | owns a task for                      | extends what is due,
//!                            | owns a task  | each ticket                          | gives back what was
//!                            | for each     |                                      | dropped
//!                            | message      |                                      |
//!  . . . . . . . . . . . . . v . . . . . .  v . . . . . . . . . . . . . . . . .  . | . . . .
//!  the runtime of the     Engine::       Engine::work ---- HeldLease ---->   HeldLeases
//!  nodes, multi-thread    take_start        (each task holds one while it lives) (a table)
//! ```
//!
//! Each actor lives on an arbiter thread of its own. What wakes it is listed in its `messages.rs`; [`ActorSystem`]
//! sends `Observe`, `Drain` and `Finish`. Every mailbox is bounded and every message is sent with `send`, which waits
//! for room: a subscription hands over its next message when the last one was taken out, so a slow actor slows the
//! delivery and nothing piles up.
//!
//! # What happens when ...
//!
//! | what | then |
//! |---|---|
//! | a node fails, panics or hangs | the engine deals with it; no actor notices |
//! | a node blocks its thread | it keeps its slot; the keeper extends its lease from another thread |
//! | a stream of tickets or starts ends | it is opened again, with back-off |
//! | ... because permissions or streams are not as they must be | its actor fails |
//! | an actor fails or panics | its tasks are aborted, their tickets are given back, and it is rebuilt, with back-off |
//! | ... again and again | [`ActorSystem::fatal`] resolves; the process should drain and end with an error |
//! | the runtime of the nodes shuts down under the actors | their messages are left to their leases, and the actors fail |
//! | a host drains | what is not finished in time is cancelled, and given back even where a node does not stop |
//! | the backend is out of reach | tickets are left to their leases; subscriptions and duties try on, with back-off |

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
