//! A host that serves.

use super::{Host, HostError, HostFacts, connect::Connected};
use crate::background::BackgroundRuntime;
use jetway_actors::{ActorSystem, Drained, Fatal, SystemStatus};
use jetway_engine::backend::Api;
use jetway_nats::ServiceHandle;
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// How long requests that wait for a result may go on when the host stops; other hosts answer them when asked again.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A host that serves in the background.
///
/// Stop it with [`drain`](Self::drain). Dropped without, it stops at once, and what is in flight comes back to other
/// hosts when its leases end.
#[derive(Debug)]
pub struct HostHandle {
    // Fields are dropped in this order: nothing is asked of a connection that is gone.
    service: ServiceHandle,
    system: ActorSystem,
    facts: HostFacts,
    _backend: Connected,
    _background: BackgroundRuntime,
}

impl HostHandle {
    pub(super) async fn start(host: Host) -> Result<Self, HostError> {
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

    /// What the host is connected to, and what it serves.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// How long steps may go on once the host is told to stop.
    pub fn drain_within(&self) -> Duration {
        self.system.config().drain_limit
    }

    /// What the host is doing.
    pub async fn observe(&self) -> SystemStatus {
        self.system.observe().await
    }

    /// Resolves when the host cannot go on, because a part of it failed again and again. Drain it then, and end the
    /// process with an error.
    pub fn fatal(&self) -> impl Future<Output = Fatal> + Send + use<> {
        self.system.fatal()
    }

    /// Stops in good order: answers no more requests, takes no more tickets and start messages, finishes what is in
    /// flight within the time that the host was built with, and gives back the rest.
    pub async fn drain(self) -> Drained {
        let Self { service, system, .. } = self;
        let limit = system.config().drain_limit;
        let (drained, ()) = tokio::join!(system.drain(limit), service.stop(ANSWERS_WITHIN));
        drained
    }
}
