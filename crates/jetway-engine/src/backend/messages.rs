//! The values that the engine and its backend exchange.

use super::{BackendError, BackendErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    CommitId, Fingerprint, Incarnation, ItemId, RunId, RunKey, Seen, StartId, StoreId, Timestamp,
    WorkflowName,
    codec::{Encoding, EnvelopeError},
    run::{Chunk, ResultVersion, RunDeadline, Snapshot, StartTime, Status},
    trace::TraceHeaders,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// A stored snapshot: an envelope of [`codec`](jetway_state::codec), and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The run, according to the key of the entry.
    pub run: RunKey,
    /// The snapshot in its envelope.
    pub bytes: Bytes,
    /// Grows with every write of the run; never 0. The next write has to name it.
    pub revision: u64,
}

impl Stored {
    /// Decodes the snapshot, and the build that it is written for.
    ///
    /// # Errors
    /// `Newer` if a newer build wrote it; `Corrupt` if it is not a snapshot, or that of another run.
    pub fn open(&self) -> Result<(Snapshot, Fingerprint), BackendError> {
        let run = &self.run;
        let (snapshot, build) = Snapshot::open(&self.bytes).map_err(|error| match error {
            EnvelopeError::Newer { .. } => {
                BackendError::new(BackendErrorKind::Newer, format!("cannot decode the record of run {run}"))
                    .caused_by(error)
            }
            EnvelopeError::Foreign { .. } | EnvelopeError::Corrupt { .. } => corrupt(run).caused_by(error),
        })?;
        // Otherwise the next write would replace the snapshot of another run.
        if snapshot.key() != *run {
            return Err(corrupt(run).caused_by(OtherRun(snapshot.key())));
        }
        Ok((snapshot, build))
    }
}

fn corrupt(run: &RunKey) -> BackendError {
    let message =
        format!("cannot decode the record of run {run} (restore it, or delete it and start the run again)");
    BackendError::new(BackendErrorKind::Corrupt, message)
}

#[derive(Debug, thiserror::Error)]
#[error("it is the record of run {0}")]
struct OtherRun(RunKey);

/// One compare-and-swap write of a run.
#[derive(Debug, Clone)]
pub struct SnapshotWrite {
    /// The run.
    pub run: RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its first incarnation, if it has continued as new. The result of the run names it.
    pub chain: Option<Incarnation>,
    /// The id that the snapshot contains: a writer that got no answer finds its own write by it.
    pub commit: CommitId,
    /// The revision to replace; 0 if the run must not exist.
    pub expected: u64,
    /// The status of the run. The record of a run that has ended expires after the retention time of the backend.
    pub status: Status,
    /// Whether the record may expire after that time. Otherwise something is left to be done to other runs, and a later write of the
    /// record, without that, may expire.
    pub may_expire: bool,
    /// Whether a parent run has to read the end of this run: the record is then kept at least as long as results.
    pub awaited: bool,
    /// The snapshot in its envelope.
    pub bytes: Bytes,
    /// Chunks that the snapshot refers to. They have to be durable before the snapshot is.
    pub chunks: Vec<Chunk>,
}

impl SnapshotWrite {
    /// The first incarnation of the run, which its result names.
    pub fn chain_id(&self) -> Incarnation {
        self.chain.unwrap_or(self.incarnation)
    }
}

/// The message that tells a worker that an item is ready. It is a hint: the snapshot decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// The incarnation of the run. A ticket of another one is discarded.
    pub incarnation: Incarnation,
    /// The node, for routing.
    pub node: String,
    /// The item.
    pub item: ItemId,
    /// The revision at which the item became ready: an older snapshot does not know the item.
    pub revision: u64,
    /// The store of this revision.
    #[serde(default)]
    pub store: StoreId,
    /// The record that made the item ready without a commit of its own: the end of its child run, or the resumption of its
    /// run. The item may have an ordinary ticket at the same time, whose worker does not know this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken_by: Option<Seen>,
    /// More than 1 if an earlier ticket of the item may have been delivered. The record counts the attempts.
    pub attempt: u32,
    /// How many hosts gave it back when they stopped. Each published it again: that is no attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_back: u32,
    /// The time of its publication, by the clock of the backend.
    pub at: Timestamp,
    /// The trace of the run.
    pub trace: TraceHeaders,
}

impl Ticket {
    /// The key of the run.
    pub fn run(&self) -> RunKey {
        RunKey::new(self.workflow.clone(), self.run_id.clone())
    }

    /// What is known to be written of the run.
    pub fn seen(&self) -> Seen {
        Seen::new(self.revision, self.store)
    }

    /// What makes the ticket unique among those of its item: the short form of the incarnation, the revision that woke the
    /// item, and how often the ticket was given back.
    pub fn activation(&self) -> String {
        let incarnation = self.incarnation.short();
        let woken = match self.woken_by {
            None => incarnation,
            Some(Seen { revision, .. }) => format!("{incarnation}-{revision:x}"),
        };
        match self.given_back {
            0 => woken,
            times => format!("{woken}_{times}"),
        }
    }

    /// Whether the activation of another ticket of the same item says that it replaced this one, which was given back.
    pub fn is_replaced_by(&self, activation: &str) -> bool {
        let first = Self { given_back: 0, ..self.clone() }.activation();
        let times = activation.strip_prefix(&first).and_then(|rest| rest.strip_prefix('_'));
        times.and_then(|times| times.parse().ok()).is_some_and(|times: u32| times > self.given_back)
    }

    /// The ticket that replaces this one, which its host gives back. `delivered` is the number of its delivery. An attempt
    /// that was lost with its worker, and is not `counted` in the record yet, is counted by the next worker.
    #[must_use]
    pub fn returned(&self, delivered: u32, counted: bool) -> Self {
        let lost = !counted && (delivered > 1 || self.attempt > 1);
        let (attempt, given_back) = (if lost { 2 } else { 1 }, self.given_back.saturating_add(1));
        Self { attempt, given_back, ..self.clone() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(times: &u32) -> bool {
    *times == 0
}

/// The exclusive right to a message for a limited time.
#[async_trait]
pub trait Lease: Send + Sync + fmt::Debug {
    /// Extends the lease by its full duration.
    async fn extend(&self) -> Result<(), BackendError>;
    /// Acks the message: it is not delivered again. Does not wait for the server.
    async fn ack(&self) -> Result<(), BackendError>;
    /// Gives the message back: it is delivered again at once, to any worker. For a ticket this is no attempt: the next delivery
    /// is the first one of a ticket that replaces it.
    async fn nak(&self) -> Result<(), BackendError>;
    /// Gives the message back, to be delivered again after a delay, to any worker. It is one delivery more. The default leaves it
    /// to its lease.
    async fn nak_later(&self, delay: Duration) -> Result<(), BackendError> {
        let _unused = delay;
        Ok(())
    }
    /// The record counts the attempt that this delivery stands for. A ticket that is given back later need not tell of it.
    fn attempt_counted(&self) {}
    /// The duration of the lease unless it is [extended](Self::extend).
    fn duration(&self) -> Duration;
}

/// A ticket that is held under a lease.
#[derive(Debug)]
pub struct Delivery {
    /// The ticket.
    pub ticket: Ticket,
    /// The build that published it.
    pub fingerprint: Fingerprint,
    /// The number of this delivery, from 1.
    pub delivered: u32,
    /// The lease.
    pub lease: Arc<dyn Lease>,
    /// The slot of the worker that it occupies.
    pub slot: OwnedSemaphorePermit,
}

/// A request to start a run, not validated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartRequest {
    /// The name of the workflow, as in the request.
    pub workflow: String,
    /// The run id: that of the client, or a derived one that is the same when the message is redelivered.
    pub run_id: String,
    /// The input.
    pub input: Bytes,
    /// The encoding of the input.
    pub encoding: Encoding,
    /// When the run starts. A run that exists keeps the time that it has.
    pub start_time: StartTime,
    /// How long the run may take. A run that exists keeps the deadline that it has.
    pub deadline: RunDeadline,
    /// The trace of the client.
    pub trace: TraceHeaders,
}

/// A start message that is held under a lease.
#[derive(Debug)]
pub struct StartDelivery {
    /// The request.
    pub request: StartRequest,
    /// The lease.
    pub lease: Arc<dyn Lease>,
    /// The slot of the coordinator that it occupies.
    pub slot: OwnedSemaphorePermit,
    /// The original message, for the dead letters.
    pub original: DeadLetter,
    /// What its refusal names: the id that its sender has chosen, or one that the backend has made.
    pub start_id: StartId,
}

/// The result of a run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    /// The run.
    pub run: RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The revision of the snapshot that ended the run; 0 in the answer to a refused start.
    pub revision: u64,
    /// The result as JSON: a [`DoneView`](jetway_state::view::DoneView).
    pub json: Bytes,
}

impl RunResult {
    /// What decides whether it replaces another result of the run id.
    pub fn version(&self) -> ResultVersion {
        ResultVersion { incarnation: self.incarnation, revision: self.revision }
    }

    /// Whether it is published for everybody who waits for the run. The refusal of a start message is published for its sender
    /// alone if there is a record, since the result of the run id belongs to the run that is there.
    pub fn is_published_for_run(&self, record: Option<Incarnation>) -> bool {
        record.is_none() || self.incarnation.refused_start().is_none()
    }
}

/// A message that cannot be processed, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetter {
    /// The workflow, if it is known.
    pub workflow: String,
    /// A word for the reason, fit for a subject: `bad-input`, `unknown-workflow`, ...
    pub why: String,
    /// The reason.
    pub reason: String,
    /// The subject of the message.
    pub subject: String,
    /// The headers of the message.
    pub headers: Vec<(String, String)>,
    /// The payload of the message.
    pub payload: Bytes,
    /// The id of the dead letter: publishing it twice has the effect of once.
    pub id: String,
}

/// A query for runs. Those that changed last come first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunsQuery {
    /// Only runs of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Only runs with this status.
    pub status: Option<Status>,
    /// The size of the page; 0 means 100.
    pub limit: usize,
    /// The end of the page before: its [`next`](RunsPage::next).
    pub after: Option<String>,
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunsPage {
    /// The runs: first the one whose last commit is the latest.
    pub runs: Vec<Stored>,
    /// The [`after`](RunsQuery::after) of the next page; `None` if there is none. A page may have fewer runs than asked for, also
    /// none, and a next page: then so many others were looked at that the reply would be late.
    pub next: Option<String>,
    /// The number of runs that were looked at.
    pub scanned: u64,
}

/// A run that has not been written for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleRun {
    /// The run.
    pub run: RunKey,
    /// Its revision: its place in the order of commits.
    pub revision: u64,
    /// Whether it ended, and its result is not stored. Otherwise it has not ended.
    pub ended: bool,
}

/// A live host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// The id of the process: `[A-Za-z0-9_-]{1,64}`.
    pub host: String,
    /// The workflows that it serves, with their fingerprints in hexadecimal.
    pub workflows: Vec<(WorkflowName, String)>,
    /// The number of steps that it runs at once.
    pub slots: usize,
    /// The time of its start, in RFC 3339.
    pub started_at: String,
    /// Its version of Jetway.
    pub version: String,
    /// When the store last had no room for a write of the host, in RFC 3339, if that was within the last day: the backend knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_room_at: Option<String>,
}
