//! What crosses the line between the engine and its backend.

use super::{BackendError, BackendErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{
    CommitId, Fingerprint, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    codec::{Encoding, EnvelopeError},
    run::{Chunk, Snapshot, Status},
    trace::TraceHeaders,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// A snapshot as it is kept: an envelope of [`codec`](jetway_state::codec), and the revision that the next write names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whose snapshot it is, by the place where it is kept.
    pub run: RunKey,
    /// The enveloped snapshot.
    pub bytes: Bytes,
    /// Grows with every write of the run; never 0.
    pub revision: u64,
}

impl Stored {
    /// The snapshot, and the build that it is written for.
    ///
    /// # Errors
    /// `Newer` where a newer build wrote it, `Corrupt` where it is none, or another run's.
    pub fn open(&self) -> Result<(Snapshot, Fingerprint), BackendError> {
        let run = &self.run;
        let (snapshot, build) = Snapshot::open(&self.bytes).map_err(|error| match error {
            EnvelopeError::Newer { .. } => {
                BackendError::new(BackendErrorKind::Newer, format!("run {run} cannot be read by this host"))
                    .caused_by(error)
            }
            EnvelopeError::Foreign { .. } | EnvelopeError::Corrupt { .. } => corrupt(run).caused_by(error),
        })?;
        // Else what is made of it would be written over another run.
        if snapshot.key() != *run {
            return Err(corrupt(run).caused_by(NotItsOwn(snapshot.key())));
        }
        Ok((snapshot, build))
    }
}

fn corrupt(run: &RunKey) -> BackendError {
    let sentence = format!(
        "the record of run {run} cannot be read, and is left as it is (restore it, or remove it and start the run again)"
    );
    BackendError::new(BackendErrorKind::Corrupt, sentence)
}

#[derive(Debug, thiserror::Error)]
#[error("it is the record of run {0}")]
struct NotItsOwn(RunKey);

/// One compare-and-swap write of a run.
#[derive(Debug, Clone)]
pub struct SnapshotWrite {
    /// Which run.
    pub run: RunKey,
    /// The id that the snapshot carries: by it a writer that got no answer knows its own write again.
    pub commit: CommitId,
    /// The revision to replace; 0 where the run must not exist.
    pub expected: u64,
    /// The run's status. AttemptWithBase runs are kept for the backend's retention time.
    pub status: Status,
    /// A parent run has yet to read how this one ended: it is kept for as long as results are, at the least.
    pub awaited: bool,
    /// The enveloped snapshot.
    pub bytes: Bytes,
    /// Chunks that the snapshot names: durable before the snapshot is.
    pub chunks: Vec<Chunk>,
}

/// Tells a worker that an item is pending; a hint, never the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The run.
    pub run_id: RunId,
    /// The node, for routing.
    pub node: String,
    /// The item.
    pub item: ItemId,
    /// The revision of the snapshot that made the item pending: an older one need not be looked at.
    pub revision: u64,
    /// Which attempt the first delivery of this ticket is, from 1.
    pub attempt: u32,
    /// When the ticket was made.
    pub at: Timestamp,
    /// The run's trace.
    pub trace: TraceHeaders,
}

impl Ticket {
    /// Which run.
    pub fn run(&self) -> RunKey {
        RunKey::new(self.workflow.clone(), self.run_id.clone())
    }
}

/// The right to a message for a while.
#[async_trait]
pub trait Lease: Send + Sync + fmt::Debug {
    /// Keeps the message from being delivered again for another lease time.
    async fn extend(&self) -> Result<(), BackendError>;
    /// Settles the message: it is never delivered again. Does not wait for the server.
    async fn ack(&self) -> Result<(), BackendError>;
    /// Gives the message back: it is delivered again at once, to anybody.
    async fn nak(&self) -> Result<(), BackendError>;
    /// How long the lease lasts without [`keep_alive`](Self::extend).
    fn duration(&self) -> Duration;
}

/// A ticket, held under a lease.
#[derive(Debug)]
pub struct Delivery {
    /// The ticket.
    pub ticket: Ticket,
    /// The build that published it.
    pub fingerprint: Fingerprint,
    /// How often the ticket has been delivered, from 1.
    pub delivered: u32,
    /// The lease on it.
    pub lease: Arc<dyn Lease>,
    /// The worker's slot that it takes up.
    pub slot: OwnedSemaphorePermit,
}

/// A wish to start a run, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartRequest {
    /// The workflow's name, as the caller wrote it.
    pub workflow: String,
    /// The run id: the caller's, or one that is derived so that a redelivery does not start a second run.
    pub run_id: String,
    /// The input.
    pub input: Bytes,
    /// How it is encoded.
    pub encoding: Encoding,
    /// The caller's trace.
    pub trace: TraceHeaders,
}

/// A start message, held under a lease.
#[derive(Debug)]
pub struct StartDelivery {
    /// What it asks for.
    pub request: StartRequest,
    /// The lease on it.
    pub lease: Arc<dyn Lease>,
    /// The coordinator's slot that it takes up.
    pub slot: OwnedSemaphorePermit,
    /// The message as it came, for the dead-letter stream.
    pub original: DeadLetter,
}

/// What cannot be run or decoded, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetter {
    /// The workflow, as far as it is known.
    pub workflow: String,
    /// One word for the reason, fit for a subject: `bad-input`, `unknown-workflow`, ...
    pub why: String,
    /// The reason, in a sentence.
    pub reason: String,
    /// The subject it came by.
    pub subject: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub payload: Bytes,
    /// Names the letter, so that sending it twice has the effect of once.
    pub id: String,
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunsQuery {
    /// Only runs of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Only runs that stand so.
    pub status: Option<Status>,
    /// At most so many; 0 stands for 100.
    pub limit: usize,
    /// Where the last page ended.
    pub after: Option<String>,
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunsPage {
    /// The runs, the most lately written ones last.
    pub runs: Vec<Stored>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<String>,
}

/// A run that has not been written for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleRun {
    /// Which run.
    pub run: RunKey,
    /// Its revision: the place in the order of writing.
    pub revision: u64,
    /// Whether it was cancelled. Unfinished otherwise.
    pub cancelled: bool,
}

/// A host that is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Unique for the process: `[A-Za-z0-9_-]{1,64}`.
    pub host: String,
    /// The workflows that it serves, with their fingerprints in hexadecimal.
    pub workflows: Vec<(WorkflowName, String)>,
    /// How many steps it runs at once.
    pub slots: usize,
    /// When it started, in RFC 3339.
    pub started_at: String,
    /// The version of Jetway that it is built with.
    pub version: String,
}
