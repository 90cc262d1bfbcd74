//! A running host.

use super::{Host, HostError, HostFacts, connect::Connected};
use crate::background::{BackgroundRuntime, BoxFuture};
use jetway_actors::{ActorSystem, Drained, Fatal, SystemStatus};
use jetway_engine::backend::Api;
use jetway_nats::{ServiceHandle, ServiceStatus};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// How long open API requests may take to finish when the host stops. Clients repeat them at other hosts.
const SERVICE_STOP_LIMIT: Duration = Duration::from_secs(2);

/// A host that runs in the background.
///
/// Stop it with [`drain`](Self::drain). If it is dropped instead, it stops at once, and its unfinished steps run again on
/// other hosts when their leases expire.
#[derive(Debug)]
pub struct HostHandle {
    // Fields are dropped in this order, so that nothing uses the connection after it is closed.
    service: ServiceHandle,
    system: ActorSystem,
    facts: HostFacts,
    _backend: Connected,
    _background: BackgroundRuntime,
}

impl HostHandle {
    /// Boxed, so that it is compiled in this crate and not wherever it is awaited.
    pub(super) fn start(host: Host) -> BoxFuture<'static, Result<Self, HostError>> {
        Box::pin(Self::set_up(host))
    }

    async fn set_up(host: Host) -> Result<Self, HostError> {
        let Host { engine, backend, system, facts, background } = host;
        let system = ActorSystem::start(engine.clone(), system, Handle::current())?;
        let api: Arc<dyn Api> = engine;
        let service = backend.serve(&background, api, facts.workflows.clone()).await?;
        tracing::info!(
            host = facts.host,
            namespace = %facts.namespace,
            concurrency = facts.concurrency,
            "serving {} on nats-server {} at {}",
            facts.workflow_names(),
            facts.server_version,
            facts.nats.join(", ")
        );
        Ok(Self { service, system, facts, _backend: backend, _background: background })
    }

    /// The host's connection and workflows.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// The drain limit: how long running steps may take to finish when the host stops.
    pub fn drain_within(&self) -> Duration {
        self.system.config().drain_limit
    }

    /// The current status of the host's actors.
    pub async fn observe(&self) -> SystemStatus {
        self.system.observe().await
    }

    /// What the host's service for requests has done: how many requests it dropped, and why.
    pub fn service_status(&self) -> ServiceStatus {
        self.service.status()
    }

    /// Resolves when a part of the host has failed repeatedly and the host cannot continue. Drain the host then, and end the
    /// process with an error.
    pub fn fatal(&self) -> impl Future<Output = Fatal> + Send + use<> {
        self.system.fatal()
    }

    /// Stops the host gracefully: it accepts no more requests, tickets and start messages, waits for running steps up to
    /// the drain limit, and gives back the rest to other hosts.
    pub async fn drain(self) -> Drained {
        self.drain_boxed().await
    }

    /// Boxed, as [`start`](Self::start) is.
    fn drain_boxed(self) -> BoxFuture<'static, Drained> {
        Box::pin(self.stop())
    }

    async fn stop(self) -> Drained {
        let Self { service, system, .. } = self;
        let limit = system.config().drain_limit;
        let (drained, ()) = tokio::join!(system.drain(limit), service.stop(SERVICE_STOP_LIMIT));
        drained
    }
}
