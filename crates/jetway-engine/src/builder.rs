//! Setting up an engine.

use super::{Engine, PlainTracer, Registry, Tracer, inputs::Chunks, run_cache::RunCache};
use crate::backend::Backend;
use jetway_core::{Context, Merge, Workflow};
use jetway_core::{
    clock::{Clock, SystemClock},
    step::AnyWorkflow,
    typed::Typed,
};
use jetway_state::{BadName, run::Limits};
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// The bounds that an engine keeps.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// After so many attempts at one item that ended with the loss of the worker, or with its stop, the run fails
    /// instead of taking another worker with it.
    pub max_attempts: u32,
    /// A worker goes on under one ticket for at most so many steps, so that other runs get their turn.
    pub go_on_steps: u32,
    /// A worker goes on under one ticket for at most this long.
    pub go_on_for: Duration,
    /// Limits the time of each attempt.
    pub step_timeout: Option<Duration>,
    /// A run that was not written for longer is looked at by the sweep.
    pub stale_after: Duration,
    /// How large snapshots and chunks may become.
    pub limits: Limits,
    /// How many runs are kept in cached, so that their next step reads nothing.
    pub runs_in_hand: usize,
    /// About how many bytes the snapshots of the runs in hand may take up together.
    pub bytes_in_hand: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            max_attempts: 25,
            go_on_steps: 256,
            go_on_for: Duration::from_secs(5),
            step_timeout: None,
            stale_after: Duration::from_secs(60),
            limits: Limits::default(),
            runs_in_hand: 8192,
            bytes_in_hand: 256 * 1024 * 1024,
        }
    }
}

/// What keeps an engine from being built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is nothing to run.
    #[error("no workflow was given: add one with `.workflow(..)`")]
    NoWorkflow,
    /// A workflow has a name that subjects and keys cannot carry.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// Two workflows have the same name.
    #[error("two workflows are named {0:?}: a host tells its workflows apart by their names")]
    SameName(String),
}

/// An engine to be set up.
pub struct EngineBuilder {
    backend: Arc<dyn Backend>,
    workflows: Vec<Result<Arc<dyn AnyWorkflow>, BadName>>,
    config: EngineConfig,
    tracer: Arc<dyn Tracer>,
    clock: Arc<dyn Clock>,
}

impl EngineBuilder {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            workflows: Vec::new(),
            config: EngineConfig::default(),
            tracer: Arc::new(PlainTracer),
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds a workflow that the engine can run.
    #[must_use]
    pub fn workflow<C, W>(self, workflow: W) -> Self
    where
        C: Context + Merge + 'static,
        W: Workflow<C> + 'static,
    {
        self.any_workflow(Typed::new(workflow).map(|typed| Arc::new(typed) as Arc<dyn AnyWorkflow>))
    }

    /// Adds a workflow whose types were erased before.
    #[must_use]
    pub fn any_workflow(mut self, workflow: Result<Arc<dyn AnyWorkflow>, BadName>) -> Self {
        self.workflows.push(workflow);
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets what writes spans.
    #[must_use]
    pub fn tracer(mut self, tracer: Arc<dyn Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Sets the clock. Without it, the clock of the machine.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// No workflow, a bad name, or two workflows of one name.
    pub fn build(self) -> Result<Engine, BuildError> {
        let Self { backend, workflows, mut config, tracer, clock } = self;
        let registry = Registry::new(workflows.into_iter().collect::<Result<_, _>>()?)?;
        config.limits = config.limits.within(backend.max_snapshot());
        Ok(Engine {
            cache: RunCache::new(config.runs_in_hand, config.bytes_in_hand),
            chunks: Chunks::default(),
            writer: rand::random(),
            commits: AtomicU64::new(1),
            backend,
            registry,
            config,
            tracer,
            clock,
        })
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
