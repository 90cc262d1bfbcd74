//! The client.

use super::{
    ClientError, ControlView, HostInfo, ResultOf, RetryQuery, RetryView, RunsQuery, RunsView, StartOptions,
    StartedRun, WorkflowView,
    repeat::{perhaps_stored, start_again, until_answered},
};
use crate::{nats::NatsConfig, telemetry::current_trace};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use jetway_engine::{
    Control,
    api::StartAnswer,
    backend::{Api, ApiError, BackendError, Hosts, Results, SnapshotStore, StartRequest, Starts},
};
use jetway_nats::{HostsClient, NO_HOST, NatsBackend, Provisioning, QueueReport, ServerFacts};
use jetway_state::{
    ItemId, RunId, RunKey, Seen, Timestamp, WorkflowName,
    codec::Encoding,
    run::{DoneView, StatusView, WantedResult},
};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The shortest and the longest pause between two attempts.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How much longer than it should wait a client gives the server for the last answer.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The number of runs on a page of a query without a limit.
const DEFAULT_PAGE: usize = 100;

/// Starts and controls runs, and reads their status and results. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) backend: Arc<NatsBackend>,
    pub(super) hosts: HostsClient,
}

impl Client {
    /// Connects to a server, in the namespace `default`.
    ///
    /// # Errors
    /// No server answers, or the server does not meet the requirements of Jetway.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(NatsConfig::new(url)).await
    }

    /// Connects with these settings. A client creates no streams on the server; hosts do.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(config: NatsConfig) -> Result<Self, ClientError> {
        let config = NatsConfig { provisioning: Provisioning::Trust, ..config };
        let backend = Arc::new(NatsBackend::connect(config).await?);
        Ok(Self { hosts: HostsClient::new(Arc::clone(&backend)), backend })
    }

    /// The facts about the server, read when the client connected.
    pub fn server(&self) -> &ServerFacts {
        self.backend.server()
    }

    /// The account of this user on the server: `$G` if the server has no accounts. `None` if this user may not ask.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn account(&self) -> Result<Option<String>, ClientError> {
        Ok(self.backend.account().await?)
    }

    /// The streams and buckets of the namespace that had disappeared while hosts were up, and that these made again: one sentence
    /// each, which says when that was, and what was lost.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn streams_made_again(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.backend.streams_made_again().await?)
    }

    /// What waits in the streams of the namespace, and what keeps it from being delivered. A user who may not ask for a part
    /// of it gets a report without that part.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn queues(&self) -> Result<QueueReport, ClientError> {
        Ok(self.backend.queues().await?)
    }

    /// Publishes a start message, as any NATS client can. When this returns, the server has stored the message, and the
    /// run starts as soon as a host processes it. A start that a host refuses becomes a dead letter, and its refusal is the
    /// [`result`](Self::result) of what this returns. The run joins the trace of the current span.
    ///
    /// # Errors
    /// An invalid name, an input that cannot be encoded as JSON, or a server that does not accept the message.
    pub async fn publish_start<I>(
        &self,
        workflow: &str,
        input: &I,
        options: &StartOptions,
    ) -> Result<StartedRun, ClientError>
    where
        I: Serialize + ?Sized + Sync,
    {
        let (run, request) = request(workflow, input, options)?;
        let message = self.backend.publish_start(&request).await;
        let message = message.map_err(|error| perhaps_stored(error, || start_again(&run)))?;
        Ok(StartedRun { key: run, incarnation: None, message: Some(message) })
    }

    /// Waits for the result of a run: that of a start, or the latest of a run id (see [`ResultOf`]). While the server does
    /// not answer, the request is repeated. Outputs that are too large for the result message are read by themselves, as by
    /// [`output`](Self::output).
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] if the run does not end within `wait`, or does not exist.
    pub async fn result<'a>(
        &self,
        run: impl Into<ResultOf<'a>>,
        wait: Duration,
    ) -> Result<DoneView, ClientError> {
        let ResultOf { run, wanted } = run.into();
        let done = self.done_within(run, wanted, wait).await?;
        let done = done.ok_or_else(|| ClientError::TimedOut { run: run.clone(), waited: wait })?;
        let done = serde_json::from_slice(&done)
            .map_err(|source| ClientError::Answer { what: "the result of the run", source })?;
        self.with_outputs(run, done).await
    }

    /// Waits for `wait` at most, also if the server does not answer: then there is no result yet.
    async fn done_within(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        if wait.is_zero() {
            return self.backend.done(run, wanted, wait).await;
        }
        let end = Instant::now() + wait;
        let ask = || self.backend.done(run, wanted, end.saturating_duration_since(Instant::now()));
        let backoff =
            ExponentialBuilder::default().with_jitter().with_max_delay(LONGEST_PAUSE).without_max_times();
        let may_succeed = |error: &BackendError| error.is_retryable() && Instant::now() < end;
        match timeout_at(end + LAST_ANSWER_WITHIN, ask.retry(backoff).when(may_succeed)).await {
            Ok(Err(error)) if error.is_retryable() => {
                tracing::warn!(%run, %error, "the server does not answer");
                Ok(None)
            }
            Ok(read) => read,
            Err(_elapsed) => Ok(None),
        }
    }

    /// Reads the status of a run from its record. No host has to be running. Large outputs are left out: see
    /// [`output`](Self::output).
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such run, [`ClientError::NoHost`] if its start message waits for a host.
    pub async fn status(&self, run: &RunKey) -> Result<StatusView, ClientError> {
        let stored = self.backend.load(run, Seen::default()).await?;
        let hosts = self.backend.hosts().await?;
        let Some(stored) = stored else {
            let mut served = hosts.iter().flat_map(|host| &host.workflows).map(|(name, _)| name);
            let is_served = served.any(|name| *name == run.workflow);
            return Err(self.not_found(run, is_served).await);
        };
        let (snapshot, _) = stored.open().map_err(ClientError::Record)?;
        let view = StatusView::new(&snapshot, self.now()).map_err(ClientError::Value)?;
        Ok(jetway_engine::with_hosts(&*self.backend, view, &hosts, false).await?)
    }

    /// Why a run has no record.
    async fn not_found(&self, run: &RunKey, is_served: bool) -> ClientError {
        // Not every user may ask for that. Then it is not said.
        let waits = self.backend.may_wait_to_start(run).await.unwrap_or_else(|error| {
            tracing::debug!(%run, %error, "cannot look for its start message");
            false
        });
        match (waits, is_served) {
            (true, false) => ClientError::NoHost {
                message: format!("run {run} not found: its start message waits for a host"),
            },
            (true, true) => ClientError::NotFound {
                message: format!("run {run} not found: its start message waits to be processed"),
            },
            (false, _) => ClientError::NotFound {
                message: format!("run {run} not found: it does not exist, or its record has expired"),
            },
        }
    }

    /// Cancels, pauses or resumes a run, through a host. Repeating a command has no further effect.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such run, [`ClientError::Refused`] if its status does not allow the
    /// command, [`ClientError::NoHost`] if no host is running.
    pub async fn control(&self, run: &RunKey, control: Control) -> Result<ControlView, ClientError> {
        Ok(self.hosts.control(control, run.workflow.as_str(), run.run_id.as_str()).await?)
    }

    /// Tries an item of a run again that waits for a person, or without an item all of them, through a host. They count their
    /// attempts from anew.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such run, [`ClientError::Refused`] if the item, or no item of the run, waits for a
    /// person, [`ClientError::NoHost`] if no host is running.
    pub async fn retry(&self, run: &RunKey, item: Option<ItemId>) -> Result<RetryView, ClientError> {
        let query = RetryQuery { item };
        Ok(self.hosts.retry(run.workflow.as_str(), run.run_id.as_str(), query).await?)
    }

    /// Lists runs, the one that changed last first, one page per call. All runs are looked at until the page is full:
    /// [`RunsView::scanned`] tells how many these were.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn runs(&self, query: &RunsQuery) -> Result<RunsView, ClientError> {
        let mut left = if query.limit == 0 { DEFAULT_PAGE } else { query.limit };
        let mut after = query.after.clone();
        let mut page = RunsView { runs: Vec::new(), next: None, scanned: 0, unreadable: Vec::new() };
        loop {
            let query = RunsQuery { limit: left, after, ..query.clone() };
            let part = RunsView::from(self.backend.runs(&query).await?);
            left = left.saturating_sub(part.runs.len() + part.unreadable.len());
            page.runs.extend(part.runs);
            page.unreadable.extend(part.unreadable);
            page.scanned += part.scanned;
            if part.next.is_none() || left == 0 {
                page.next = part.next;
                return Ok(page);
            }
            after = part.next;
        }
    }

    /// Starts a run through a host. When this returns, the run exists. While hosts are busy or do not answer, the request
    /// is repeated for up to 30 seconds. Starting twice with the same run id and the same input gives one run. The run
    /// joins the trace of the current span.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if no running host serves the workflow, [`ClientError::Refused`] if the input or the time of
    /// the start is invalid, or if the run id is in use with another input. [`ClientError::NoHost`] if no host is running:
    /// [`publish_start`](Self::publish_start) works without a host.
    pub async fn start<I>(
        &self,
        workflow: &str,
        input: &I,
        options: &StartOptions,
    ) -> Result<StartedRun, ClientError>
    where
        I: Serialize + ?Sized + Sync,
    {
        let (key, request) = request(workflow, input, options)?;
        // The run id is chosen already, so a repeated request starts the same run.
        let incarnation =
            match until_answered(|| self.hosts.start(request.clone(), None), || start_again(&key)).await? {
                StartAnswer::Started { incarnation, .. } => incarnation,
                StartAnswer::Ended(done) => done.incarnation,
            };
        Ok(StartedRun { key, incarnation: Some(incarnation), message: None })
    }

    /// The workflows of one of the running hosts.
    ///
    /// # Errors
    /// [`ClientError::NoHost`] if no host is running.
    pub async fn workflows(&self) -> Result<Vec<WorkflowView>, ClientError> {
        Ok(self.hosts.workflows().await?.workflows)
    }

    /// A workflow, from a host that serves it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if no running host serves it, [`ClientError::NoHost`] if no host is running.
    pub async fn workflow(&self, name: &str) -> Result<WorkflowView, ClientError> {
        match self.hosts.workflow(name).await {
            Err(error) if error.code == NO_HOST => Err(self.unserved(name, error).await),
            answer => Ok(answer?),
        }
    }

    /// The error of a request that no host that serves a workflow has received.
    pub(super) async fn unserved(&self, name: &str, unserved: ApiError) -> ClientError {
        let hosts = match self.backend.hosts().await {
            Ok(hosts) => hosts,
            // There may be no namespace. What is known is that no host has answered.
            Err(error) => {
                tracing::debug!(%error, "cannot list the hosts");
                return unserved.into();
            }
        };
        let served: BTreeSet<_> =
            hosts.iter().flat_map(|host| &host.workflows).map(|(workflow, _)| workflow.as_str()).collect();
        if hosts.is_empty() || served.contains(name) {
            return unserved.into();
        }
        let served = served.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("no host serves workflow {name:?}; the served workflows are {served}");
        ClientError::NotFound { message }
    }

    /// The time of the server, as far as this client knows it: the clock of this machine does not matter.
    pub fn now(&self) -> Timestamp {
        self.backend.clock().now()
    }

    /// The running hosts, with the workflows that each serves.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn hosts(&self) -> Result<Vec<HostInfo>, ClientError> {
        Ok(self.backend.hosts().await?)
    }
}

pub(super) fn request<I>(
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
        start_time: options.start_time(),
        deadline: options.run_deadline(),
        trace: current_trace(),
    };
    Ok((run, request))
}
