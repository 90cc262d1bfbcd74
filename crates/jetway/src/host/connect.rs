//! The connection of a host. A host waits for its server.

use super::HostError;
use crate::{
    background::{BackgroundRuntime, BoxFuture},
    nats::NatsConfig,
};
use backon::{ExponentialBuilder, Retryable};
use jetway_core::clock::Clock;
use jetway_engine::backend::{Api, Backend, BackendError, Hosts as _};
use jetway_nats::{NatsBackend, ServiceHandle, serve};
use jetway_state::WorkflowName;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The backend of a host.
#[derive(Debug)]
pub(super) struct Connected(Arc<NatsBackend>);

/// Connects on the background runtime of the host. Retries while the server does not answer. Fails at once if the server
/// rejects the connection or does not meet the requirements.
pub(super) fn connect(
    runtime: &BackgroundRuntime,
    config: NatsConfig,
    within: Option<Duration>,
) -> BoxFuture<'_, Result<Connected, HostError>> {
    Box::pin(try_to_connect(runtime, config, within))
}

async fn try_to_connect(
    runtime: &BackgroundRuntime,
    config: NatsConfig,
    within: Option<Duration>,
) -> Result<Connected, HostError> {
    let servers = config.servers.clone();
    let backoff =
        ExponentialBuilder::default().with_jitter().with_max_delay(LONGEST_PAUSE).without_max_times();
    // The attempts take their time too.
    let end = within.map(|within| Instant::now() + within);
    let may_succeed =
        move |error: &BackendError| error.is_retryable() && end.is_none_or(|end| Instant::now() < end);
    let connecting = (move || NatsBackend::connect(config.clone()))
        .retry(backoff)
        .when(may_succeed)
        .notify(move |error, pause| {
            tracing::warn!(%error, "cannot connect to nats-server at {servers}, retrying in {:.1} s", pause.as_secs_f32());
        });
    let connected = runtime.run(connecting).await.map_err(HostError::Runtime)??;
    Ok(Connected(Arc::new(connected)))
}

impl Connected {
    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        self.0.clone()
    }

    /// The clock that the hosts of the server share.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    pub(super) fn server_version(&self) -> String {
        self.0.server().version.clone()
    }

    /// The durability of a commit, as far as a client can determine it.
    pub(super) async fn durability(&self) -> String {
        match self.0.durability().await {
            Ok(durability) => durability.to_string(),
            Err(error) => format!("unknown: {error}"),
        }
    }

    /// Serves the API to the NATS clients of the namespace, on the background runtime.
    pub(super) async fn serve(
        &self,
        runtime: &BackgroundRuntime,
        api: Arc<dyn Api>,
        workflows: Vec<WorkflowName>,
    ) -> Result<ServiceHandle, HostError> {
        let backend = Arc::clone(&self.0);
        let serving = async move { serve(backend, api, &workflows).await };
        Ok(runtime.run(serving).await.map_err(HostError::Runtime)??)
    }
}
