//! The answers of an engine to requests.

use super::Engine;
use crate::{
    api::{
        Api, ApiError, ControlView, RetryQuery, RetryView, RunsView, SignalAnswer, SignalRequest,
        StartAnswer, WorkflowView, WorkflowsView,
    },
    backend::{NewSignal, RunsQuery, StartRequest},
    dispatch::RetriedRun,
    hosts_of::with_hosts,
};
use async_trait::async_trait;
use jetway_core::step::AnyWorkflow;
use jetway_state::{
    Error, RunId, RunKey, Seen, WorkflowName,
    run::{
        Status, WantedResult,
        control::{Control, ControlResult},
    },
    view::{NoPage, OutputPage, OutputQuery, StatusView},
};
use std::time::Duration;

#[async_trait]
impl Api for Engine {
    fn serves(&self, workflow: &str) -> bool {
        self.workflows().get(workflow).is_some()
    }

    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<StartAnswer, ApiError> {
        let (run, incarnation) = self
            .starter
            .start(request)
            .await
            .map_err(|error| ApiError::new(error.code(), error.to_string()))?;
        let result = match wait {
            Some(wait) => self.backend().done(&run, WantedResult::Of(incarnation), wait).await?,
            None => None,
        };
        let Some(result) = result else {
            return Ok(StartAnswer::Started { run_id: run.run_id, incarnation });
        };
        serde_json::from_slice(&result)
            .map(StartAnswer::Ended)
            .map_err(|error| ApiError::new(500, format!("cannot decode the result of run {run}: {error}")))
    }

    async fn status(&self, workflow: &str, run_id: &str) -> Result<StatusView, ApiError> {
        let run = key(workflow, run_id)?;
        let stored = self.backend().load(&run, Seen::default()).await?.ok_or_else(|| not_found(&run))?;
        let (snapshot, _) = stored.open()?;
        let view = StatusView::new(&snapshot, self.backend().clock().now()).map_err(unreadable(&run))?;
        if !view.depends_on_hosts() {
            return Ok(view);
        }
        let hosts = self.backend().hosts().await?;
        Ok(with_hosts(&**self.backend(), view, &hosts, self.serves(workflow)).await?)
    }

    async fn output(&self, workflow: &str, run_id: &str, query: OutputQuery) -> Result<OutputPage, ApiError> {
        let run = key(workflow, run_id)?;
        let page = match self.backend().load(&run, Seen::default()).await? {
            Some(stored) => OutputPage::of_record(&stored.open()?.0, &query),
            // A result is kept for longer than the record.
            None => {
                let result = self.backend().done(&run, WantedResult::Latest, Duration::ZERO).await?;
                let result = result.ok_or_else(|| not_found(&run))?;
                let done = serde_json::from_slice(&result).map_err(|error| {
                    ApiError::new(500, format!("cannot decode the result of run {run}: {error}"))
                })?;
                OutputPage::of_result(&done, &query)
            }
        };
        page.map_err(|reason| no_page(&run, &reason))
    }

    async fn control(&self, control: Control, workflow: &str, run_id: &str) -> Result<ControlView, ApiError> {
        let run = key(workflow, run_id)?;
        let result = Self::control(self, &run, control).await?;
        let ControlResult { status, changed } = result.ok_or_else(|| not_found(&run))?;
        if !changed && !control.is_satisfied_by(status) {
            let why = match status {
                Status::Cancelling => "it is being cancelled".to_owned(),
                ended => format!("it has ended, {ended}"),
            };
            return Err(ApiError::new(409, format!("cannot {control} run {run}: {why}")));
        }
        Ok(ControlView { run_id: run.run_id, status, changed })
    }

    async fn retry(&self, workflow: &str, run_id: &str, query: RetryQuery) -> Result<RetryView, ApiError> {
        let run = key(workflow, run_id)?;
        let retried = Self::retry_items(self, &run, query.item.as_ref()).await?;
        let retried = retried.ok_or_else(|| not_found(&run))?;
        let RetriedRun { status, items } =
            retried.map_err(|refused| ApiError::new(409, format!("cannot retry run {run}: {refused}")))?;
        Ok(RetryView { run_id: run.run_id, status, items })
    }

    async fn signal(&self, request: SignalRequest) -> Result<SignalAnswer, ApiError> {
        let SignalRequest { workflow, run_id, name, id, incarnation, content_type, payload } = request;
        let run = key(&workflow, &run_id)?;
        Self::signal(self, NewSignal { run, name, id, incarnation, content_type, payload }).await
    }

    async fn signal_with_start(
        &self,
        start: StartRequest,
        signal: SignalRequest,
    ) -> Result<SignalAnswer, ApiError> {
        let SignalRequest { workflow, run_id, name, id, content_type, payload, .. } = signal;
        let run = key(&workflow, &run_id)?;
        let signal = NewSignal { run, name, id, incarnation: None, content_type, payload };
        Self::signal_with_start(self, start, signal).await
    }

    async fn runs(&self, query: RunsQuery) -> Result<RunsView, ApiError> {
        Ok(self.backend().runs(&query).await?.into())
    }

    async fn workflows(&self) -> Result<WorkflowsView, ApiError> {
        Ok(WorkflowsView {
            workflows: Self::workflows(self).iter().map(|workflow| view(&**workflow)).collect(),
        })
    }

    async fn workflow(&self, name: &str) -> Result<WorkflowView, ApiError> {
        let served = Self::workflows(self).get(name);
        let served =
            served.ok_or_else(|| ApiError::new(404, format!("no workflow {name:?} on this host")))?;
        Ok(view(&**served))
    }
}

fn view(workflow: &dyn AnyWorkflow) -> WorkflowView {
    WorkflowView {
        name: workflow.name().clone(),
        fingerprint: workflow.fingerprint().to_string(),
        dot: workflow.to_dot().to_owned(),
        graph: Some(workflow.graph().clone()),
    }
}

fn key(workflow: &str, run_id: &str) -> Result<RunKey, ApiError> {
    let bad = |error: jetway_state::BadName| ApiError::new(400, error.to_string());
    Ok(RunKey::new(WorkflowName::new(workflow).map_err(bad)?, RunId::new(run_id).map_err(bad)?))
}

/// The error of a record that has no valid JSON.
fn unreadable(run: &RunKey) -> impl FnOnce(Error) -> ApiError {
    move |error| ApiError::new(500, format!("run {run}: {error}"))
}

fn no_page(run: &RunKey, reason: &NoPage) -> ApiError {
    let code = match reason {
        NoPage::NoOutput { .. } | NoPage::Expired => 404,
        NoPage::OtherRun { .. } => 409,
        NoPage::BadOffset { .. } => 400,
        NoPage::Corrupt => 500,
    };
    ApiError::new(code, format!("run {run}: {reason}"))
}

fn not_found(run: &RunKey) -> ApiError {
    ApiError::new(404, format!("run {run} not found: it does not exist, or its record expired"))
}
