//! The builder of a host.

use super::{Host, HostError, HostFacts, connect, identity::host_id};
use crate::{
    background::BackgroundRuntime,
    nats::{self, EnvironmentError, NatsConfig, ServerList},
    telemetry,
};
use jetway_actors::SystemConfig;
use jetway_core::{Context, Merge, Workflow};
use jetway_engine::{Engine, EngineBuilder, EngineConfig, Tracer, backend::Backend};
use jetway_state::Namespace;
use std::{fmt, sync::Arc, time::Duration};

type AddWorkflow = Box<dyn FnOnce(EngineBuilder) -> EngineBuilder + Send>;
type Decorate = Box<dyn FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend> + Send>;

/// Configures a host.
pub struct HostBuilder {
    nats: NatsConfig,
    bad_setting: Option<EnvironmentError>,
    workflows: Vec<AddWorkflow>,
    engine: EngineConfig,
    system: SystemConfig,
    tracer: Option<Arc<dyn Tracer>>,
    connect_within: Option<Duration>,
    decorate: Option<Decorate>,
}

impl HostBuilder {
    pub(super) fn new() -> Self {
        Self {
            nats: NatsConfig::default(),
            bad_setting: None,
            workflows: Vec::new(),
            engine: EngineConfig::default(),
            system: SystemConfig::new(host_id()),
            tracer: None,
            connect_within: None,
            decorate: None,
        }
    }

    pub(super) fn from_env() -> Self {
        let mut builder = Self::new();
        match nats::config_from_env() {
            Ok(config) => builder.nats = config,
            Err(bad) => builder.bad_setting = Some(bad),
        }
        builder
    }

    /// The server address, such as `nats://127.0.0.1:4222`. For a cluster, several addresses separated by commas. See
    /// [`ServerList`] for logins in addresses.
    #[must_use]
    pub fn nats(mut self, servers: &str) -> Self {
        self.nats.servers = ServerList::from(servers);
        self
    }

    /// All settings of the connection and of the streams: credentials, TLS, replicas, retention. Overrides earlier calls of
    /// [`nats`](Self::nats) and [`namespace`](Self::namespace).
    #[must_use]
    pub fn nats_config(mut self, config: NatsConfig) -> Self {
        self.nats = config;
        self
    }

    /// The namespace, which separates teams that share a server: `[A-Za-z0-9_-]{1,32}`. Default: `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        match Namespace::new(namespace) {
            Ok(namespace) => self.nats.namespace = namespace,
            Err(bad) => self.bad_setting = Some(bad.into()),
        }
        self
    }

    /// The number of servers in a cluster that store each message: 1, 3 or 5. Default: as recorded on the server. See
    /// [`NatsConfig::replicas`].
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.nats.replicas = Some(replicas);
        self
    }

    /// One more prefix of subjects to which the host answers requests, for clients whose inboxes do not begin with
    /// `_INBOX`. See [`NatsConfig::reply_prefixes`].
    #[must_use]
    pub fn reply_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.nats.reply_prefixes.push(prefix.into());
        self
    }

    /// Adds a workflow for the host to serve.
    #[must_use]
    pub fn workflow<C, W>(mut self, workflow: W) -> Self
    where
        C: Context + Merge + 'static,
        W: Workflow<C> + 'static,
    {
        self.workflows.push(Box::new(move |engine| engine.workflow(workflow)));
        self
    }

    /// The maximum number of concurrent steps per workflow. Default: 256.
    #[must_use]
    pub fn concurrency(mut self, steps: usize) -> Self {
        self.system.concurrency = steps;
        self
    }

    /// The drain limit: how long running steps may take to finish when the host stops. Unfinished steps are then given
    /// back to other hosts. Default: 25 seconds, less than the 30 seconds that Kubernetes waits by default.
    #[must_use]
    pub fn drain_within(mut self, limit: Duration) -> Self {
        self.system.drain_limit = limit;
        self
    }

    /// The time limit of each attempt of a step. Default: no limit.
    #[must_use]
    pub fn step_timeout(mut self, limit: Duration) -> Self {
        self.engine.step_timeout = Some(limit);
        self
    }

    /// How long to retry the first connection. Default: forever, because a host waits for its server.
    #[must_use]
    pub fn connect_within(mut self, limit: Duration) -> Self {
        self.connect_within = Some(limit);
        self
    }

    /// The limits of the engine. Overrides an earlier call of [`step_timeout`](Self::step_timeout).
    #[must_use]
    pub fn engine_config(mut self, config: EngineConfig) -> Self {
        self.engine = config;
        self
    }

    /// The settings of the actors: intervals of the sweep, restarts after failures. Overrides earlier calls of
    /// [`concurrency`](Self::concurrency) and [`drain_within`](Self::drain_within).
    #[must_use]
    pub fn system_config(mut self, config: SystemConfig) -> Self {
        self.system = config;
        self
    }

    /// The tracer that creates the spans of runs and steps. Default: [`telemetry::tracer`].
    #[must_use]
    pub fn tracer(mut self, tracer: Arc<dyn Tracer>) -> Self {
        self.tracer = Some(tracer);
        self
    }

    /// Gives the engine a decorator of the backend, for tests that inject faults.
    #[doc(hidden)]
    #[must_use]
    pub fn decorate_backend(
        mut self,
        decorate: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + 'static,
    ) -> Self {
        self.decorate = Some(Box::new(decorate));
        self
    }

    /// Connects to the server and creates missing streams. Waits while the server does not answer. The host accepts no work
    /// before it is started. Logs the durability of a commit on this server.
    ///
    /// # Errors
    /// The server does not meet the requirements (too old, no JetStream), rejects the login, or the workflows or settings
    /// are invalid.
    pub async fn build(self) -> Result<Host, HostError> {
        let Self { nats, bad_setting, workflows, engine, system, tracer, connect_within, decorate } = self;
        if let Some(bad) = bad_setting {
            return Err(bad.into());
        }
        let background = BackgroundRuntime::new("jetway-nats", 2).map_err(HostError::Runtime)?;
        let config = nats.clone();
        let backend = connect::connect(&background, config, connect_within).await?;
        let decorated = match decorate {
            Some(decorate) => decorate(backend.backend()),
            None => backend.backend(),
        };
        telemetry::set_clock(backend.clock());
        telemetry::set_host(&system.host);
        let engine = workflows
            .into_iter()
            .fold(Engine::builder(decorated), |engine, add| add(engine))
            .config(engine)
            .host(&system.host)
            .tracer(tracer.unwrap_or_else(telemetry::tracer))
            .build()?;
        let facts = HostFacts {
            host: system.host.clone(),
            nats: nats.servers.addresses().iter().map(ToString::to_string).collect(),
            server_version: backend.server_version(),
            namespace: nats.namespace,
            durability: backend.durability().await,
            workflows: engine.workflows().iter().map(|workflow| workflow.name().clone()).collect(),
            concurrency: system.concurrency,
        };
        tracing::info!("durability: {}", facts.durability);
        Ok(Host { engine: Arc::new(engine), backend, system, facts, background })
    }
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("nats", &self.nats)
            .field("workflows", &self.workflows.len())
            .field("engine", &self.engine)
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}
