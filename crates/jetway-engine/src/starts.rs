//! Starting runs.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | taking the start message | nothing changed | redelivery of the message |
//! | the first snapshot | the run exists, its first item has no ticket | redelivery: the run is found, its ticket is published again; the sweep |
//! | the first ticket | the run exists, the message is not acked | redelivery: the run is found |
//!
//! A run that starts later has an alarm in place of the first ticket, and the same repairs.

mod child;
mod error;

pub(crate) use child::NewChild;
pub use error::StartError;

use crate::{
    backend::{Backend, BackendError, DeadLetter, StartDelivery, StartRequest},
    control::not_found_yet,
    fail_point::{FailPoint, fail_point},
    refusal::{RefusedStart, publish_refusal},
    registry::Registry,
    snapshots::{CachedSnapshot, RunVersion, Snapshots},
    tickets::Tickets,
    trace::{Tracer, exact_micros},
};
use bytes::Bytes;
use jetway_core::clock::Clock;
use jetway_state::{
    Fingerprint, Incarnation, RunId, RunKey, Seen, StartId, Timestamp,
    run::{Begin, Parent, RunInput, Snapshot, Trace, begin, offload},
};
use std::{sync::Arc, time::Duration};

/// The outcome of a start message.
#[derive(Debug)]
pub enum StartOutcome {
    /// The run exists.
    Started(RunKey),
    /// The run cannot be started; the message is a dead letter.
    Refused(StartError),
    /// The backend does not answer or is full: the message is delivered again when its lease expires.
    Abandoned(BackendError),
}

/// Starts runs.
pub(crate) struct Starter {
    backend: Arc<dyn Backend>,
    registry: Arc<Registry>,
    snapshots: Arc<Snapshots>,
    tickets: Arc<Tickets>,
    clock: Arc<dyn Clock>,
    tracer: Arc<dyn Tracer>,
}

impl Starter {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        registry: Arc<Registry>,
        snapshots: Arc<Snapshots>,
        tickets: Arc<Tickets>,
        clock: Arc<dyn Clock>,
        tracer: Arc<dyn Tracer>,
    ) -> Self {
        Self { backend, registry, snapshots, tickets, clock, tracer }
    }

    /// Starts a run. Returns its key and its first incarnation, also if the run existed.
    pub(crate) async fn start(&self, request: StartRequest) -> Result<(RunKey, Incarnation), StartError> {
        let (run, new) = self.new_run(&request)?;
        let (build, input) = (new.build, new.input.clone());
        let incarnation = match self.create(&run, new).await {
            Ok(created) => {
                fail_point(FailPoint::StartTicketed);
                created.snapshot.incarnation
            }
            Err(StartError::Backend(error)) if error.is_conflict() => {
                self.join_existing(build, &run, &input).await?
            }
            Err(error) => return Err(error),
        };
        Ok((run, incarnation))
    }

    /// Starts a run that has a signal in its mailbox from the begin. False if the run exists: it gets its first ticket again, and the
    /// caller sends it the signal.
    pub(crate) async fn start_with(
        &self,
        request: StartRequest,
        signal: FirstSignal,
    ) -> Result<bool, StartError> {
        let (run, new) = self.new_run(&request)?;
        let build = new.build;
        match self.create(&run, NewRun { signal: Some(signal), ..new }).await {
            Ok(_created) => {
                fail_point(FailPoint::StartTicketed);
                Ok(true)
            }
            Err(StartError::Backend(error)) if error.is_conflict() => {
                let found = self.snapshots.load(&run, Seen::default()).await?;
                let cached = found.ok_or_else(|| not_found_yet(&run))?;
                self.publish_first_again(build, &run, &cached).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// What a request begins.
    fn new_run(&self, request: &StartRequest) -> Result<(RunKey, NewRun), StartError> {
        let workflow = self.registry.get(&request.workflow).map(Arc::clone).ok_or_else(|| {
            StartError::UnknownWorkflow { name: request.workflow.clone(), known: self.registry.names() }
        })?;
        let run = RunKey::new(workflow.name().clone(), RunId::new(&request.run_id)?);
        let new = NewRun {
            input: workflow.run_input(&request.input, request.encoding).map_err(StartError::BadInput)?,
            due: request.start_time.due(self.clock.now())?,
            limit: request.deadline.check(workflow.deadline())?,
            trace: self.tracer.begin(&request.trace),
            parent: None,
            signal: None,
            build: workflow.fingerprint(),
            has_clean_up: workflow.graph().has_clean_up(),
            created: FailPoint::StartCreated,
        };
        Ok((run, new))
    }

    /// Handles one start message: starts its run, or moves the message to the dead letters, then acks it.
    pub(crate) async fn process_start(&self, delivery: StartDelivery) -> StartOutcome {
        jetway_state::hop!("Starter::process_start");
        let StartDelivery { request, lease, original, start_id, .. } = delivery;
        let run_id = request.run_id.clone();
        fail_point(FailPoint::StartTaken);
        let outcome = match self.start(request).await {
            Ok((run, _incarnation)) => StartOutcome::Started(run),
            Err(StartError::Backend(error)) if error.is_retryable() => return StartOutcome::Abandoned(error),
            Err(error) => {
                tracing::warn!(workflow = %original.workflow, why = error.why(), "start refused: moving its message to the dead letters");
                // It may quote the input.
                tracing::debug!(%error, "start refused");
                if let Err(error) = self.refuse(original, &run_id, start_id, &error).await {
                    return StartOutcome::Abandoned(error);
                }
                StartOutcome::Refused(error)
            }
        };
        fail_point(FailPoint::StartUnsettled);
        match lease.ack().await {
            Ok(()) => {
                fail_point(FailPoint::StartSettled);
                outcome
            }
            Err(error) => StartOutcome::Abandoned(error),
        }
    }

    /// Tells the sender of a start message that it is refused, and keeps the message as a dead letter.
    async fn refuse(
        &self,
        original: DeadLetter,
        run_id: &str,
        start_id: StartId,
        error: &StartError,
    ) -> Result<(), BackendError> {
        let (why, reason) = (error.why(), error.to_string());
        let workflow = &original.workflow;
        let refused = RefusedStart { workflow, run_id, start_id, why, reason: reason.clone() };
        publish_refusal(|refusal| self.backend.publish_done(refusal), &*self.clock, refused).await?;
        self.backend.dead_letter(DeadLetter { why: why.to_owned(), reason, ..original }).await
    }

    /// Writes the first snapshot of a new incarnation of a run, and publishes its first ticket or arms its alarm.
    async fn create(
        &self,
        run: &RunKey,
        NewRun { input, due, limit, trace, parent, signal, build, has_clean_up, created }: NewRun,
    ) -> Result<CachedSnapshot, StartError> {
        let (at, commit) = (self.clock.now(), self.snapshots.next_commit());
        let start_micros = trace.start_micros.max(exact_micros(&*self.clock));
        let trace = Trace { start_micros, ..trace };
        let incarnation = Incarnation::from_random(rand::random());
        let key = run.clone();
        let (mut snapshot, ticket) = begin(Begin { key, incarnation, commit, at, due, trace, input });
        snapshot.parent = parent;
        snapshot.has_clean_up = has_clean_up;
        if let Some(FirstSignal { name, payload, id }) = signal {
            snapshot.begin_with_signal(name, payload, id);
        }
        let start = due.map_or(at, |due| due.max(at));
        snapshot.deadline = limit.map(|limit| Snapshot::deadline_of(start, limit));
        let chunks =
            offload(&mut snapshot, commit, 0, self.snapshots.limits()).map_err(StartError::BadInput)?;
        let revision = self.snapshots.write(build, &snapshot, chunks, Seen::default()).await?;
        let cached = self.snapshots.found(snapshot, revision, build);
        self.snapshots.slot(run).keep(&cached);
        fail_point(created);
        let version = RunVersion { run, build, cached: &cached };
        // It rings at once if its time has passed since the snapshot. It comes before the ticket: who finds that no step was committed
        // arms it again.
        self.tickets.arm(version, at).await?;
        if let Some(ticket) = ticket {
            self.tickets.publish_batch(version, vec![ticket], 1).await?;
        }
        Ok(cached)
    }

    /// The run exists: this is a redelivery, or another client chose the same id. The coordinator may have crashed between
    /// the snapshot and the ticket, so the ticket is published again, or the alarm armed. The run keeps the time of its start.
    async fn join_existing(
        &self,
        build: Fingerprint,
        run: &RunKey,
        input: &RunInput,
    ) -> Result<Incarnation, StartError> {
        let found = self.snapshots.load(run, Seen::default()).await?;
        let cached = found.ok_or_else(|| not_found_yet(run))?;
        if cached.snapshot.input_digest != input.digest() {
            return Err(StartError::OtherInput(run.clone()));
        }
        self.publish_first_again(build, run, &cached).await?;
        Ok(cached.snapshot.chain_id())
    }

    /// Publishes the first ticket of a run again, or arms its alarm, unless a step was committed.
    async fn publish_first_again(
        &self,
        build: Fingerprint,
        run: &RunKey,
        cached: &CachedSnapshot,
    ) -> Result<(), BackendError> {
        if cached.snapshot.steps > 0 {
            return Ok(());
        }
        let (version, now) = (RunVersion { run, build, cached }, self.clock.now());
        // What becomes due in between gets its ticket twice, and not never.
        self.tickets.arm(version, now).await?;
        self.tickets.publish_pending(version).await
    }
}

/// A signal that a run is started with, as its record has it.
pub(crate) struct FirstSignal {
    pub(crate) name: String,
    pub(crate) payload: Bytes,
    /// The hash of the id that its sender has given to it.
    pub(crate) id: Option<u64>,
}

/// What a new run begins with.
struct NewRun {
    input: RunInput,
    /// When its first item is due, if that is later.
    due: Option<Timestamp>,
    /// How long it may take.
    limit: Option<Duration>,
    /// The new span of the run, without its start.
    trace: Trace,
    /// What a child run comes with.
    parent: Option<Parent>,
    /// The signal that it is started with.
    signal: Option<FirstSignal>,
    /// The build that can run it.
    build: Fingerprint,
    /// Whether its workflow has `on_cancel` edges.
    has_clean_up: bool,
    /// Where tests can stop the host when its first snapshot is written.
    created: FailPoint,
}
