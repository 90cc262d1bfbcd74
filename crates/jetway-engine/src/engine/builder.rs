//! Building an engine.

use super::Engine;
use crate::{
    backend::Backend,
    commit::Committer,
    config::EngineConfig,
    dispatch::Dispatcher,
    registry::{Registry, RegistryError},
    signals::Applier,
    snapshots::Snapshots,
    starts::Starter,
    sweeper::Sweep,
    tickets::Tickets,
    trace::{PlainTracer, Tracer},
    worker::Worker,
};
use jetway_core::{
    Context, Merge, RetryPolicy, Workflow,
    clock::Clock,
    retry::BadPolicy,
    signal::{BadSignals, check_signals},
    step::AnyWorkflow,
    step_rules::BadRules,
    typed::Typed,
};
use jetway_state::BadName;
use std::{fmt, sync::Arc, time::Duration};

/// Why an engine cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no workflow to run.
    #[error("no workflow was given: add one with `.workflow(..)`")]
    NoWorkflow,
    /// The name of a workflow is not valid in subjects and keys.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// Two workflows have the same name.
    #[error("two workflows are named {0:?}: give each workflow of a host its own name")]
    SameName(String),
    /// The retry policy or a time limit of a node makes no sense.
    #[error(transparent)]
    BadRules(#[from] BadRules),
    /// The retry policy for nodes without one makes no sense.
    #[error("the policy of the host (EngineConfig::retry): {0}")]
    BadPolicy(#[from] BadPolicy),
    /// The signals of a workflow cannot be served.
    #[error("workflow {workflow:?}: {reason}")]
    BadSignals {
        /// The workflow.
        workflow: String,
        /// Why.
        reason: BadSignals,
    },
    /// The records of runs that have ended expire before a lost result can be noticed.
    #[error(
        "records of ended runs are kept for {keep:?}, and have to be kept for at least {least:?}: four times the sum of a lease \
         and the time after which the sweep checks a run (stale_after); raise keep_finished"
    )]
    RetentionTooShort {
        /// How long records are kept.
        keep: Duration,
        /// How long they have to be kept at least.
        least: Duration,
    },
}

/// Configures a new [`Engine`].
pub struct EngineBuilder {
    backend: Arc<dyn Backend>,
    workflows: Vec<Result<Arc<dyn AnyWorkflow>, BadName>>,
    config: EngineConfig,
    tracer: Arc<dyn Tracer>,
    clock: Option<Arc<dyn Clock>>,
    host: Option<String>,
}

impl EngineBuilder {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            workflows: Vec::new(),
            config: EngineConfig::default(),
            tracer: Arc::new(PlainTracer),
            clock: None,
            host: None,
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

    /// Adds a workflow whose types are erased.
    #[must_use]
    pub fn any_workflow(mut self, workflow: Result<Arc<dyn AnyWorkflow>, BadName>) -> Self {
        self.workflows.push(workflow);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets what writes spans. The default writes them through `tracing`.
    #[must_use]
    pub fn tracer(mut self, tracer: Arc<dyn Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Sets the clock. The default is the clock of the backend, which all its hosts share.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the name of the host, which records name where a build cannot read an item. The default has the id of the process.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Builds the engine.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<Engine, BuildError> {
        let Self { backend, workflows, mut config, tracer, clock, host } = self;
        let host = host.unwrap_or_else(|| format!("process-{}", std::process::id()));
        let clock = clock.unwrap_or_else(|| backend.clock());
        let registry = Arc::new(Registry::new(workflows.into_iter().collect::<Result<_, _>>()?)?);
        check_workflows(&registry)?;
        config.limits = config.limits.within(backend.max_snapshot());
        check_config(&*backend, &config)?;
        let config = Arc::new(config);
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&backend), &config));
        let tickets =
            Arc::new(Tickets::new(Arc::clone(&backend), Arc::clone(&snapshots), Arc::clone(&clock)));
        let starter = Arc::new(Starter::new(
            Arc::clone(&backend),
            Arc::clone(&registry),
            Arc::clone(&snapshots),
            Arc::clone(&tickets),
            Arc::clone(&clock),
            Arc::clone(&tracer),
        ));
        let dispatcher = Arc::new(Dispatcher::new(
            Arc::clone(&backend),
            Arc::clone(&snapshots),
            Arc::clone(&tickets),
            Arc::clone(&starter),
            Arc::clone(&clock),
            Arc::clone(&tracer),
            config.clean_up_limit,
        ));
        let sweep = Sweep {
            backend: Arc::clone(&backend),
            registry: Arc::clone(&registry),
            snapshots: Arc::clone(&snapshots),
            tickets: Arc::clone(&tickets),
            dispatcher: Arc::clone(&dispatcher),
            clock: Arc::clone(&clock),
            stale_after: config.stale_after,
        };
        let signals = Arc::new(Applier {
            backend: Arc::clone(&backend),
            registry: Arc::clone(&registry),
            snapshots: Arc::clone(&snapshots),
            tickets: Arc::clone(&tickets),
            dispatcher: Arc::clone(&dispatcher),
            clock: Arc::clone(&clock),
        });
        let worker = Worker {
            backend: Arc::clone(&backend),
            registry: Arc::clone(&registry),
            config: Arc::clone(&config),
            clock: Arc::clone(&clock),
            tracer,
            committer: Committer::new(Arc::clone(&snapshots)),
            snapshots,
            tickets,
            dispatcher: Arc::clone(&dispatcher),
            starter: Arc::clone(&starter),
            signals: Arc::clone(&signals),
            host: host.into(),
        };
        Ok(Engine { backend, registry, config, clock, dispatcher, starter, signals, worker, sweep })
    }
}

/// Checks the rules of the nodes of all workflows, and the signals that they wait for.
fn check_workflows(registry: &Registry) -> Result<(), BuildError> {
    for workflow in registry.iter() {
        workflow.check_rules()?;
        check_signals(workflow.signals())
            .map_err(|reason| BuildError::BadSignals { workflow: workflow.name().to_string(), reason })?;
    }
    Ok(())
}

/// Checks the policy of the host, and how long records are kept.
fn check_config(backend: &dyn Backend, config: &EngineConfig) -> Result<(), BuildError> {
    config.retry.as_ref().map_or(Ok(()), RetryPolicy::check)?;
    check_retention(backend, config)
}

/// The sweep needs time to find that the result of a run was not stored, and to write the record again if it cannot be.
fn check_retention(backend: &dyn Backend, config: &EngineConfig) -> Result<(), BuildError> {
    let least = (backend.lease() + config.stale_after) * 4;
    match backend.keep_finished() {
        Some(keep) if keep < least => Err(BuildError::RetentionTooShort { keep, least }),
        _ => Ok(()),
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Empty => Self::NoWorkflow,
            RegistryError::SameName(name) => Self::SameName(name),
        }
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
