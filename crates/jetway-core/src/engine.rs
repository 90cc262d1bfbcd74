//! What carries out the rules of [`run`](crate::run): one engine for worker actors and for runs within a process.
//!
//! ```text
//! ticket ──▶ work ──▶ attempt (the node runs) ──▶ commit (one compare-and-swap for the outcomes of a run that are at
//!              ▲                                   hand) ──▶ effects (tickets, result) ──▶ go on, or settle the ticket
//!              └────────────── the only successor goes on under the same ticket ◀──┘
//! ```

mod api;
mod attempt;
mod builder;
mod bury;
mod cell;
mod children;
mod commit;
mod control;
mod effects;
mod inputs;
mod load;
pub(crate) mod local;
mod patience;
mod registry;
mod scope;
mod start;
mod stranded;
mod sweep;
mod trace;
mod typed;
mod work;

pub use builder::{BuildError, EngineBuilder, EngineConfig};
pub(crate) use children::ChildSpec;
pub use control::{Control, Controlled};
pub use registry::{AnyWorkflow, ChildEnd, Registry, Task, TaskInput, Tried};
pub(crate) use scope::within_part;
pub use scope::{StepScope, step};
pub use start::{StartError, StartTaken};
pub use sweep::{Sweeper, Swept};
pub use trace::{PlainTracer, StepInfo, StepSpan, Tracer, trace_of};
pub use work::Worked;

pub(crate) mod steps {
    //! The pieces of a step that running over chosen stores shares with the engine.
    pub(crate) use super::{
        scope::within,
        typed::{changed, encode_outcome, seed_of},
    };
}

use crate::{CommitId, backend::Backend};
use cell::Cells;
use inputs::Chunks;
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
    cells: Cells,
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
