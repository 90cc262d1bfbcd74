//! The client itself.

use super::{
    ClientError, ControlView, HostInfo, RunSummary, RunsQuery, RunsView, StartOptions, UnreadableRun,
    WorkflowView,
};
use crate::{nats::NatsConfig, telemetry::current_trace};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use jetway_engine::{
    Control,
    backend::{Api, ApiError, BackendError, Hosts, Results, SnapshotStore, StartRequest, Starts},
};
use jetway_nats::{BUSY, NO_ANSWER, NatsBackend, Provisioning, Remote, ServerFacts};
use jetway_state::{
    RunId, RunKey, Timestamp, WorkflowName,
    codec::Encoding,
    run::{DoneView, StatusView},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The pauses between two tries, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// For how long a host that has no place for a request now, or does not answer, is asked again.
const ASK_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// Starts runs and asks about them. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    backend: Arc<NatsBackend>,
    hosts: Remote,
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
        let backend = Arc::new(NatsBackend::connect(config).await?);
        Ok(Self { hosts: Remote::new(Arc::clone(&backend)), backend })
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
        let ask =
            || self.backend.done(run, Timestamp::default(), end.saturating_duration_since(Instant::now()));
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
        let hosts = self.backend.hosts().await?;
        let (snapshot, _) = stored.open().map_err(ClientError::Record)?;
        let view = StatusView::from(&snapshot);
        Ok(view.served_by(hosts.iter().flat_map(|host| &host.workflows).map(|(name, _)| name)))
    }

    /// Tells a run to stop for good, to wait, or to go on, by asking a host. Telling it what it does already changes
    /// nothing.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run, [`ClientError::Refused`] where it has ended otherwise,
    /// [`ClientError::NoHost`] where no host is up.
    pub async fn control(&self, run: &RunKey, control: Control) -> Result<ControlView, ClientError> {
        let told = self.hosts.control(control, run.workflow.as_str(), run.run_id.as_str()).await?;
        serde_json::from_value(told)
            .map_err(|source| ClientError::Answer { what: "what the run was told", source })
    }

    /// A page of runs.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn runs(&self, query: &RunsQuery) -> Result<RunsView, ClientError> {
        let page = self.backend.runs(query).await?;
        let mut view = RunsView { runs: Vec::new(), next: page.next, unreadable: Vec::new() };
        for stored in page.runs {
            match stored.open() {
                Ok((snapshot, _)) => view.runs.push(RunSummary::from(&snapshot)),
                Err(error) => {
                    let (RunKey { workflow, run_id }, error) = (stored.run, error.to_string());
                    view.unreadable.push(UnreadableRun { workflow, run_id, error });
                }
            }
        }
        Ok(view)
    }

    /// Asks a host to start a run. When this returns, the run exists. Hosts that have no place for the request, or do
    /// not answer, are asked again for half a minute. Asking twice with one run id and the same input
    /// gives one run. The run joins the trace of the current span.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where hosts are up and none serves the workflow, [`ClientError::Refused`] where the
    /// input is not what it takes or the run id is taken, [`ClientError::NoHost`] where no host is up at all:
    /// [`publish_start`](Self::publish_start) then leaves a message for the first that comes.
    pub async fn start<I>(
        &self,
        workflow: &str,
        input: &I,
        options: &StartOptions,
    ) -> Result<RunKey, ClientError>
    where
        I: Serialize + ?Sized + Sync,
    {
        let (run, request) = request(workflow, input, options)?;
        // The run has its id already, so that a start that is asked for again is the same run.
        let ask = || self.hosts.start(request.clone(), None);
        let end = Instant::now() + ASK_AGAIN_WITHIN;
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        let again = |refused: &ApiError| [BUSY, NO_ANSWER].contains(&refused.code) && Instant::now() < end;
        ask.retry(backoff).when(again).await?;
        Ok(run)
    }

    /// The workflows of the host that answers.
    ///
    /// # Errors
    /// [`ClientError::NoHost`] where no host is up.
    pub async fn workflows(&self) -> Result<Vec<WorkflowView>, ClientError> {
        let answer = self.hosts.workflows().await?;
        let answer = serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { what: "the list of workflows", source });
        answer.map(|WorkflowsView { workflows }| workflows)
    }

    /// The hosts that are alive, with the workflows that each serves.
    ///
    /// # Errors
    /// The server is out of reach.
    pub async fn hosts(&self) -> Result<Vec<HostInfo>, ClientError> {
        Ok(self.backend.hosts().await?)
    }
}

/// What a host answers to the question for its workflows.
#[derive(Deserialize)]
struct WorkflowsView {
    workflows: Vec<WorkflowView>,
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
