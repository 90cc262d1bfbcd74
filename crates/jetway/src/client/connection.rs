//! The client itself.

use super::{ClientError, HostInfo, RunSummary, RunsQuery, RunsView, StartOptions};
use crate::{nats::NatsConfig, telemetry::current_trace};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use jetway_core::{
    RunId, RunKey, WorkflowName,
    backend::{BackendError, Encoding, Hosts, Results, SnapshotStore, StartRequest, Starts},
    codec,
    run::{DoneView, Snapshot, StatusView},
};
use jetway_nats::{NatsBackend, Provisioning, ServerFacts};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a host may take to make a run of a start message.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// The shortest pause between two tries.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Starts runs and asks about them. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    backend: Arc<NatsBackend>,
}

impl Client {
    /// Connects to a server, in the namespace `default`.
    ///
    /// # Errors
    /// No server answers, or it is not what Jetway needs.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(NatsConfig::new(url)).await
    }

    /// Connects with all settings. A client creates nothing on the server: that is the hosts' business.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(config: NatsConfig) -> Result<Self, ClientError> {
        let config = NatsConfig { provisioning: Provisioning::Trust, ..config };
        Ok(Self { backend: Arc::new(NatsBackend::connect(config).await?) })
    }

    /// What the server said about itself when the connection was made.
    pub fn server(&self) -> &ServerFacts {
        self.backend.server()
    }

    /// Leaves a start message, as any NATS client can. When this returns, the run will be made, also where no host is
    /// up yet; an input that the workflow does not take goes to the dead letters. The run joins the trace of the
    /// current span.
    ///
    /// # Errors
    /// A bad name, an input that is not JSON, a server that does not take the message.
    pub async fn publish_start<I>(
        &self,
        workflow: &str,
        input: &I,
        options: &StartOptions,
    ) -> Result<RunKey, ClientError>
    where
        I: Serialize + ?Sized + Sync,
    {
        let (run, request) = request(workflow, input, options)?;
        self.backend.publish_start(&request).await?;
        Ok(run)
    }

    /// The result of a run, waiting for it. A server that does not answer for a while is asked again.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] where the run has not ended by then, or does not exist.
    pub async fn result(&self, run: &RunKey, wait: Duration) -> Result<DoneView, ClientError> {
        let end = Instant::now() + wait;
        let ask = || self.backend.done(run, end.saturating_duration_since(Instant::now()));
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_total_delay(Some(wait));
        let done = ask.retry(backoff).when(BackendError::is_retryable).await?;
        let done = done.ok_or_else(|| ClientError::TimedOut { run: run.clone(), waited: wait })?;
        serde_json::from_slice(&done)
            .map_err(|source| ClientError::Answer { what: "the result of the run", source })
    }

    /// How a run stands, as its record says: no host has to be up.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run.
    pub async fn status(&self, run: &RunKey) -> Result<StatusView, ClientError> {
        let stored = self.backend.load(run).await?.ok_or_else(|| ClientError::NotFound {
            message: format!(
                "there is no run {run}: it never was, or ended so long ago that it is forgotten"
            ),
        })?;
        Ok(StatusView::from(&snapshot(&stored.bytes)?))
    }

    /// A page of runs.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn runs(&self, query: &RunsQuery) -> Result<RunsView, ClientError> {
        let page = self.backend.runs(query).await?;
        let runs = page.runs.iter().map(|stored| Ok(RunSummary::from(&snapshot(&stored.bytes)?)));
        Ok(RunsView { runs: runs.collect::<Result<_, ClientError>>()?, next: page.next })
    }

    /// Leaves a start message and waits until a host has made the run. Starting twice with one run id and the same
    /// input gives one run. The run joins the trace of the current span.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where hosts are up and none serves the workflow; nothing was left then.
    /// [`ClientError::NoHost`] where no host is up, [`ClientError::Unconfirmed`] where none has made the run in time:
    /// the message is kept.
    pub async fn start<I>(
        &self,
        workflow: &str,
        input: &I,
        options: &StartOptions,
    ) -> Result<RunKey, ClientError>
    where
        I: Serialize + ?Sized + Sync,
    {
        let hosts = self.hosts().await?;
        let served: BTreeSet<&str> =
            hosts.iter().flat_map(|host| &host.workflows).map(|(name, _)| name.as_str()).collect();
        if !hosts.is_empty() && !served.contains(workflow) {
            let served: Vec<_> = served.into_iter().collect();
            let message = format!("no host serves workflow {workflow:?}; there are {}", served.join(", "));
            return Err(ClientError::NotFound { message });
        }
        let run = self.publish_start(workflow, input, options).await?;
        if hosts.is_empty() {
            return Err(ClientError::NoHost { run });
        }
        self.confirm(&run).await?;
        Ok(run)
    }

    /// Waits until the run's record exists.
    async fn confirm(&self, run: &RunKey) -> Result<(), ClientError> {
        let look = || async {
            let made = self.backend.load(run).await?.is_some();
            made.then_some(()).ok_or_else(|| ClientError::Unconfirmed { run: run.clone() })
        };
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_total_delay(Some(CONFIRM_WITHIN));
        look.retry(backoff).when(ClientError::is_retryable).await
    }

    /// The hosts that are alive, with the workflows that each serves.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn hosts(&self) -> Result<Vec<HostInfo>, ClientError> {
        Ok(self.backend.hosts().await?)
    }
}

fn request<I>(
    workflow: &str,
    input: &I,
    options: &StartOptions,
) -> Result<(RunKey, StartRequest), ClientError>
where
    I: Serialize + ?Sized,
{
    let run = RunKey::new(WorkflowName::new(workflow)?, RunId::new(&options.id())?);
    let request = StartRequest {
        workflow: run.workflow.to_string(),
        run_id: run.run_id.to_string(),
        input: Bytes::from(serde_json::to_vec(input).map_err(ClientError::Input)?),
        encoding: Encoding::Json,
        trace: current_trace(),
    };
    Ok((run, request))
}

fn snapshot(bytes: &[u8]) -> Result<Snapshot, ClientError> {
    let opened = codec::open(bytes, "the record of the run");
    opened.map(|(snapshot, _fingerprint)| snapshot).map_err(ClientError::Record)
}
