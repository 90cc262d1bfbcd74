//! Starting runs.

use super::{Engine, run_cache::CachedSnapshot};
use crate::{
    backend::{BackendError, BackendErrorKind, DeadLetter, StartDelivery, StartRequest},
    fail_point::{FailPoint, fail_point},
};
use jetway_core::step::AnyWorkflow;
use jetway_state::{
    BadName, Error, RunId, RunKey, Timestamp,
    run::{Begin, Parent, RunInput, begin, offload, pending_tickets},
    trace::TraceHeaders,
};
use std::sync::Arc;

/// What keeps a run from being started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This host does not serve the workflow.
    #[error("no workflow is named {name:?} here; this host serves {known}")]
    UnknownWorkflow {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The run id breaks the rules for names.
    #[error(transparent)]
    BadRunId(#[from] BadName),
    /// The input is not what the workflow takes.
    #[error(transparent)]
    BadInput(Error),
    /// The run exists, with another input.
    #[error(
        "run {0} exists and was started with another input: use another run id, or the same input to get the same run"
    )]
    OtherInput(RunKey),
    /// The run could not be written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl StartError {
    /// One word for it, fit for a subject.
    pub fn why(&self) -> &'static str {
        match self {
            Self::UnknownWorkflow { .. } => "unknown-workflow",
            Self::BadRunId(_) => "bad-run-id",
            Self::BadInput(_) => "bad-input",
            Self::OtherInput(_) => "other-input",
            Self::Backend(_) => "backend",
        }
    }

    /// Whether the same start may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Backend(error) if error.is_retryable())
    }

    /// The code for it, in the manner of HTTP.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownWorkflow { .. } => 404,
            Self::BadRunId(_) | Self::BadInput(_) => 400,
            Self::OtherInput(_) => 409,
            Self::Backend(error) if error.is_retryable() => 503,
            Self::Backend(_) => 500,
        }
    }
}

/// What became of a start message.
#[derive(Debug)]
pub enum StartTaken {
    /// The run exists.
    Started(RunKey),
    /// It cannot be started; the message is among the dead letters.
    Refused(StartError),
    /// The backend is out of reach: the message is left to its lease, which delivers it again.
    Abandoned(BackendError),
}

impl Engine {
    /// Makes a run exist. When this returns, the run's snapshot is written and its first item has a ticket. A second
    /// start with the same run id and input gives the same run.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is touched then.
    pub async fn start(&self, request: StartRequest) -> Result<RunKey, StartError> {
        self.begun(request).await.map(|(run, _)| run)
    }

    /// Starts a run, and tells when it began.
    pub(super) async fn begun(&self, request: StartRequest) -> Result<(RunKey, Timestamp), StartError> {
        let workflow = self.registry.get(&request.workflow).map(Arc::clone).ok_or_else(|| {
            StartError::UnknownWorkflow { name: request.workflow.clone(), known: self.registry.names() }
        })?;
        let run = RunKey::new(workflow.name().clone(), RunId::new(&request.run_id)?);
        let seed = workflow.run_input(&request.input, request.encoding).map_err(StartError::BadInput)?;
        let began = match self.create(&*workflow, &run, seed.clone(), &request.trace, None).await {
            Ok(began) => {
                fail_point(FailPoint::StartTicketed);
                began
            }
            Err(StartError::Backend(error)) if error.is_conflict() => {
                self.join_existing(&*workflow, &run, &seed).await?
            }
            Err(error) => return Err(error),
        };
        Ok((run, began))
    }

    pub(super) async fn create(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        seed: RunInput,
        trace: &TraceHeaders,
        parent: Option<Parent>,
    ) -> Result<Timestamp, StartError> {
        let at = self.clock.now();
        let commit = self.next_commit();
        let (mut snapshot, ticket) =
            begin(Begin { key: run.clone(), commit, at, trace: self.tracer.begin(trace), seed });
        let created = if parent.is_some() { FailPoint::ChildCreated } else { FailPoint::StartCreated };
        snapshot.parent = parent;
        let chunks = offload(&mut snapshot, commit, 0, &self.config.limits).map_err(StartError::BadInput)?;
        let revision = self.write(workflow.fingerprint(), &snapshot, chunks, 0).await?;
        let cached = CachedSnapshot { snapshot: Arc::new(snapshot), revision };
        self.cache.of(run).keep(&cached);
        fail_point(created);
        self.publish(workflow.fingerprint(), run, &cached, vec![ticket], 1).await?;
        Ok(at)
    }

    /// The run exists: this is a redelivery, or somebody else's run. A coordinator may have been lost between the
    /// snapshot and the ticket, so the ticket is published again.
    async fn join_existing(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        seed: &RunInput,
    ) -> Result<Timestamp, StartError> {
        let Some(cached) = self.load(run).await? else {
            let sentence = format!("run {run} was removed while it was started");
            return Err(BackendError::new(BackendErrorKind::Unavailable, sentence).into());
        };
        if cached.snapshot.input_digest != seed.digest() {
            return Err(StartError::OtherInput(run.clone()));
        }
        self.ticket_again(workflow, run, &cached).await?;
        Ok(cached.snapshot.started_at)
    }

    /// Publishes the first ticket of a run again, where nothing is committed yet.
    pub(super) async fn ticket_again(
        &self,
        workflow: &dyn AnyWorkflow,
        run: &RunKey,
        cached: &CachedSnapshot,
    ) -> Result<(), BackendError> {
        if cached.snapshot.steps == 0 {
            let tickets =
                self.resolve_nodes(run, &cached.snapshot, pending_tickets(&cached.snapshot)).await?;
            self.publish(workflow.fingerprint(), run, cached, tickets, 1).await?;
        }
        Ok(())
    }

    /// Handles one start message: makes its run exist, or moves it to the dead letters, then settles it.
    pub async fn take_start(&self, delivery: StartDelivery) -> StartTaken {
        let StartDelivery { request, lease, original, .. } = delivery;
        fail_point(FailPoint::StartTaken);
        let taken = match self.start(request).await {
            Ok(run) => StartTaken::Started(run),
            Err(StartError::Backend(error)) if error.is_retryable() => return StartTaken::Abandoned(error),
            Err(refused) => {
                tracing::warn!(workflow = %original.workflow, why = refused.why(), reason = %refused, "a start message is refused");
                let letter =
                    DeadLetter { why: refused.why().to_owned(), reason: refused.to_string(), ..original };
                if let Err(error) = self.backend.dead_letter(letter).await {
                    return StartTaken::Abandoned(error);
                }
                StartTaken::Refused(refused)
            }
        };
        fail_point(FailPoint::StartUnsettled);
        match lease.ack().await {
            Ok(()) => {
                fail_point(FailPoint::StartSettled);
                taken
            }
            Err(error) => StartTaken::Abandoned(error),
        }
    }
}
