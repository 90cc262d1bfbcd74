//! The connection of a host, which waits for its server.

use super::HostError;
use crate::{background::BackgroundRuntime, nats::NatsConfig};
use backon::{ExponentialBuilder, Retryable};
use jetway_engine::backend::{Api, Backend, BackendError};
use jetway_nats::{NatsBackend, ServiceHandle, serve};
use jetway_state::WorkflowName;
use std::{sync::Arc, time::Duration};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The backend of a host.
#[derive(Debug)]
pub(super) struct Connected(Arc<NatsBackend>);

/// Connects, on a runtime of the host's own. A server that does not answer is waited for; one that refuses, or is not
/// what Jetway needs, is an error at once.
pub(super) async fn connect(
    runtime: &BackgroundRuntime,
    config: NatsConfig,
    within: Option<Duration>,
) -> Result<Connected, HostError> {
    let urls = config.urls.join(", ");
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_total_delay(within);
    let trying = (move || NatsBackend::connect(config.clone()))
        .retry(backoff)
        .when(BackendError::is_retryable)
        .notify(move |error, pause| {
            tracing::warn!(%error, "waiting for the nats-server at {urls}: next try in {:.1} s", pause.as_secs_f32());
        });
    let connected = runtime.run(trying).await.map_err(HostError::Runtime)??;
    Ok(Connected(Arc::new(connected)))
}

impl Connected {
    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        self.0.clone()
    }

    pub(super) fn server_version(&self) -> String {
        self.0.server().version.clone()
    }

    /// What an acknowledged step survives, as far as it can be seen; never overstated.
    pub(super) async fn durability(&self) -> String {
        match self.0.durability().await {
            Ok(durability) => durability.to_string(),
            Err(error) => format!("unknown: {error}"),
        }
    }

    /// Offers the API to every NATS client of the namespace, on the runtime of the connection.
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
