//! The answers of an engine to requests.

use super::Engine;
use crate::{
    api::{Api, ApiError},
    backend::{RunsQuery, StartRequest},
};
use async_trait::async_trait;
use jetway_state::{
    RunId, RunKey, WorkflowName,
    run::{
        Snapshot,
        control::{Control, ControlResult},
    },
    view::StatusView,
};
use serde_json::{Value, json};
use std::time::Duration;

#[async_trait]
impl Api for Engine {
    fn serves(&self, workflow: &str) -> bool {
        self.workflows().get(workflow).is_some()
    }

    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<Value, ApiError> {
        let (run, started_at) = self
            .starter
            .start(request)
            .await
            .map_err(|error| ApiError::new(error.code(), error.to_string()))?;
        let Some(wait) = wait else {
            return Ok(json!({ "run_id": run.run_id }));
        };
        match self.backend().done(&run, started_at, wait).await? {
            Some(result) => serde_json::from_slice(&result).map_err(|error| {
                ApiError::new(500, format!("cannot decode the result of run {run}: {error}"))
            }),
            None => Ok(json!({ "run_id": run.run_id })),
        }
    }

    async fn status(&self, workflow: &str, run_id: &str) -> Result<Value, ApiError> {
        let run = key(workflow, run_id)?;
        let stored = self.backend().load(&run).await?.ok_or_else(|| not_found(&run))?;
        let (snapshot, _) = stored.open()?;
        let mut view = StatusView::from(&snapshot);
        if !self.serves(workflow) {
            let hosts = self.backend().hosts().await?;
            view = view.served_by(hosts.iter().flat_map(|host| &host.workflows).map(|(name, _)| name));
        }
        Ok(json!(view))
    }

    async fn control(&self, control: Control, workflow: &str, run_id: &str) -> Result<Value, ApiError> {
        let run = key(workflow, run_id)?;
        let result = Self::control(self, &run, control).await?;
        let ControlResult { status, changed } = result.ok_or_else(|| not_found(&run))?;
        if !changed && !control.is_satisfied_by(status) {
            return Err(ApiError::new(409, format!("cannot {control} run {run}: it has ended, {status}")));
        }
        Ok(json!({ "run_id": run.run_id, "status": status, "changed": changed }))
    }

    async fn runs(&self, query: RunsQuery) -> Result<Value, ApiError> {
        let page = self.backend().runs(&query).await?;
        let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
        for stored in &page.runs {
            match stored.open() {
                Ok((snapshot, _)) => runs.push(summary(&snapshot)),
                Err(error) => unreadable.push(json!({
                    "workflow": stored.run.workflow,
                    "run_id": stored.run.run_id,
                    "error": error.to_string(),
                })),
            }
        }
        let mut view = json!({ "runs": runs, "next": page.next });
        if !unreadable.is_empty() {
            view["unreadable"] = json!(unreadable);
        }
        Ok(view)
    }

    async fn workflows(&self) -> Result<Value, ApiError> {
        let workflows = Self::workflows(self).iter().map(|workflow| {
            json!({
                "name": workflow.name(),
                "fingerprint": workflow.fingerprint().to_string(),
                "dot": workflow.to_dot(),
                "graph": workflow.graph(),
            })
        });
        Ok(json!({ "workflows": workflows.collect::<Vec<_>>() }))
    }
}

fn key(workflow: &str, run_id: &str) -> Result<RunKey, ApiError> {
    let bad = |error: jetway_state::BadName| ApiError::new(400, error.to_string());
    Ok(RunKey::new(WorkflowName::new(workflow).map_err(bad)?, RunId::new(run_id).map_err(bad)?))
}

fn not_found(run: &RunKey) -> ApiError {
    ApiError::new(404, format!("run {run} not found: it does not exist, or its record expired"))
}

fn summary(snapshot: &Snapshot) -> Value {
    json!({
        "workflow": snapshot.workflow,
        "run_id": snapshot.run_id,
        "status": snapshot.status,
        "steps": snapshot.steps,
        "pending": snapshot.pending(),
        "started_at": snapshot.started_at.to_string(),
        "finished_at": snapshot.finished_at.map(|at| at.to_string()),
    })
}
