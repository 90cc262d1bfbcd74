//! What hosts do: they carry out, against a backend, what the rules of [`jetway_state::run`] decide.
//!
//! Internal to Jetway: depend on the `jetway` crate, which re-exports what is meant for use. This crate knows no NATS and
//! no actors: a backend implements the traits of [`backend`].
//!
//! ```text
//! ticket ──▶ work ──▶ attempt (the node runs) ──▶ commit (one compare-and-swap for the outcomes of a run that are at
//!              ▲                                   cached) ──▶ effects (tickets, result) ──▶ go on, or settle the ticket
//!              └────────────── the only successor goes on under the same ticket ◀──┘
//! ```

#![deny(missing_docs)]

pub mod backend;
pub mod fail_point;
pub mod memory;

mod api;
mod attempt;
mod builder;
mod children;
mod commit;
mod control;
mod dead_letter;
mod effects;
mod inputs;
mod load;
mod missing_tickets;
mod registry;
mod retry;
mod run_cache;
mod start;
mod sweep;
mod trace;
mod work;

pub use builder::{BuildError, EngineBuilder, EngineConfig};
pub use control::{Control, ControlResult};
pub use registry::Registry;
pub use start::{StartError, StartTaken};
pub use sweep::{Sweeper, Swept};
pub use trace::{PlainTracer, StepInfo, StepSpan, Tracer};
pub use work::TicketOutcome;

use backend::Backend;
use inputs::Chunks;
use jetway_core::clock::Clock;
use jetway_state::CommitId;
use run_cache::RunCache;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Executes runs against a backend. One per host, shared by its actors.
pub struct Engine {
    backend: Arc<dyn Backend>,
    registry: Registry,
    config: EngineConfig,
    tracer: Arc<dyn Tracer>,
    clock: Arc<dyn Clock>,
    cache: RunCache,
    chunks: Chunks,
    writer: u64,
    commits: AtomicU64,
}

impl Engine {
    /// An engine to be set up.
    pub fn builder(backend: Arc<dyn Backend>) -> EngineBuilder {
        EngineBuilder::new(backend)
    }

    /// Where snapshots, tickets, starts and results are kept.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The bounds that the engine keeps.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The clock that the engine goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The workflows that the engine can run.
    pub fn workflows(&self) -> &Registry {
        &self.registry
    }

    fn next_commit(&self) -> CommitId {
        CommitId { writer: self.writer, number: self.commits.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("workflows", &self.registry)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
