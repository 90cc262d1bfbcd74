//! What hosts do: they carry out, against a backend, what the rules of [`jetway_state::run`] decide.
//!
//! Internal to Jetway: depend on the `jetway` crate, which re-exports the public items. This crate knows no NATS and no
//! actors. A backend implements the traits of [`backend`].
//!
//! ```text
//! start message ─▶ starts: first snapshot, first ticket
//! ticket ─▶ worker: load the item, run its node ─▶ commit: one compare-and-swap for all attempts of the run that
//!             ▲                                      ended at the same time
//!             │                                       │
//!             └── an only successor runs next, ◀──────┴─▶ dispatch: tickets, then effects: result, parent, children
//!                 under the same ticket
//! signal ─▶ signals: one commit for all stored signals of the run ─▶ dispatch
//! command ─▶ control: commits cancel, pause, resume ─▶ dispatch
//! clock ─▶ sweeper: tickets and effects that are missing
//! ```
//!
//! Parts, each above those that it uses:
//!
//! | part | does |
//! |---|---|
//! | `engine` | builds the parts; the methods that hosts call |
//! | `worker` | runs the steps of one ticket |
//! | `sweeper` | finds and repairs runs that lack tickets or effects |
//! | `republish` | publishes the tickets of all runs, after their stream was made anew |
//! | `signals` | applies signals to runs |
//! | `starts` | starts runs, and child runs |
//! | `commit` | commits attempts, in groups |
//! | `dispatch` | publishes the tickets and carries out the effects of commits |
//! | `control` | commits commands to runs |
//! | `tickets` | publishes tickets, and finds the items that have none |
//! | `hosts_of` | what a status says of hosts |
//! | `inputs`, `children` | loads the inputs of items, and the ends of child runs |
//! | `snapshots` | reads, caches and writes snapshots and chunks |

#![deny(missing_docs)]

pub mod api;
pub mod backend;
#[doc(hidden)]
pub mod fail_point;
pub mod memory;

mod alarms;
mod children;
mod commit;
mod config;
mod control;
mod dispatch;
mod engine;
mod hosts_of;
mod inputs;
mod refusal;
mod registry;
mod republish;
mod retry;
mod signal_with_start;
mod signals;
mod snapshots;
mod starts;
mod sweeper;
mod tickets;
mod trace;
mod wait_for_build;
mod worker;

pub use api::SignalAnswer;
pub use config::EngineConfig;
pub use dispatch::RetriedRun;
pub use engine::{BuildError, Engine, EngineBuilder};
pub use hosts_of::with_hosts;
pub use jetway_state::run::control::{Control, ControlResult};
pub use refusal::{RefusedStart, publish_refusal};
pub use registry::Registry;
pub use republish::{RepublishReport, republish_tickets};
pub use signals::{SignalError, SignalOutcome};
pub use starts::{StartError, StartOutcome};
pub use sweeper::{SweepReport, Sweeper};
pub use trace::{PlainTracer, SpanTimes, StepInfo, StepSpan, Tracer};
pub use worker::TicketOutcome;
