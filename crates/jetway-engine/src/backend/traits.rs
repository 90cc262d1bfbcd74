//! The traits that a backend implements.

use super::{
    Alarms, BackendError, Beats, Cancels, DeadLetter, Delivery, HostInfo, RunResult, RunsPage, RunsQuery,
    Signals, SnapshotWrite, StaleRun, StartDelivery, StartRequest, Stored, Ticket, TicketIndex,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use jetway_core::clock::Clock;
use jetway_state::{
    Fingerprint, Incarnation, ItemId, RunKey, Seen, StartMessage, StoreId, Timestamp, WorkflowName,
    run::{ChunkRef, WantedResult},
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Stores snapshots and chunks.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// Reads the latest snapshot. The read sees every write that was acknowledged before it started; a snapshot that is older
    /// than `seen` is never returned, nor is `None` where what was seen may still be there.
    ///
    /// # Errors
    /// `Behind` if whoever answers lacks what was seen.
    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError>;

    /// Snapshots of some of these runs, in no order, which may be older than the latest: as far as the backend reads many at
    /// once at little cost.
    async fn glance(&self, runs: &[RunKey]) -> Result<Vec<Stored>, BackendError> {
        let _unused = runs;
        Ok(Vec::new())
    }

    /// Identifies the store of the snapshots, so that its revisions are not taken for those of an earlier one that was deleted.
    fn store_id(&self) -> StoreId;

    /// Writes by compare-and-swap and returns the new revision. If the answer was lost, the backend finds out whether the write
    /// succeeded, or returns `Unavailable`.
    ///
    /// # Errors
    /// `Conflict` if the expected revision is not the latest, `TooLarge`, `Unavailable`.
    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError>;

    /// Reads a chunk; `None` if it was deleted.
    async fn read_chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError>;

    /// Deletes chunks.
    async fn drop_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError>;

    /// Deletes all chunks of one incarnation of a run.
    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError>;

    /// A page of runs.
    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError>;

    /// Returns the runs with a revision above `after` that were last written before `before`, in the order of commits: those
    /// that have not ended, and those that ended and may have no stored result. Also returns the revision up to which all runs
    /// were scanned: the next `after`.
    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError>;

    /// Returns the runs that ended since `since`. Called only after tickets may have been lost: the host that ended a run may
    /// have crashed before it carried out the effects, and its ticket may be lost.
    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError>;

    /// Deletes chunks of runs that have ended that no snapshot refers to, and that are older than `grace`: their writer crashed,
    /// or its commit failed. Returns the number of their runs.
    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError>;

    /// The largest snapshot, in bytes, that [`commit`](Self::commit) accepts.
    fn max_snapshot(&self) -> usize;

    /// How long the record of a run is kept after it has ended, from its last write on. `None` if it is kept for good.
    fn keep_finished(&self) -> Option<Duration>;
}

/// Stores tickets and delivers them to workers.
#[async_trait]
pub trait TicketQueue: Send + Sync {
    /// Publishes tickets. A ticket that exists already is not changed.
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError>;

    /// Returns the tickets of a workflow, at most one for each free slot. The stream owns all slots: free ones are reserved for
    /// the next tickets. Dropping the stream stops the delivery. A ticket that cannot be decoded becomes a dead letter and is
    /// not delivered.
    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError>;

    /// Reports each time that published tickets may have been lost, and since when: a sweep has to find their runs. Reports
    /// nothing if the backend never loses a ticket.
    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        stream::pending().boxed()
    }

    /// Removes the tickets of a workflow that are stored but would never be delivered, since the queue counts them as acked.
    /// Returns their number. A correct queue has none.
    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        let _unused = workflow;
        Ok(0)
    }

    /// The items that have a ticket, of all runs of a workflow. `None` if the backend can tell of one run only.
    async fn ticket_index(&self, workflow: &WorkflowName) -> Result<Option<TicketIndex>, BackendError> {
        let _unused = workflow;
        Ok(None)
    }

    /// How many tickets of a workflow no worker holds: workers take one for each free slot. `None` if that is not known.
    async fn queued(&self, workflow: &WorkflowName) -> Result<Option<u64>, BackendError> {
        let _unused = workflow;
        Ok(None)
    }

    /// Whether a ticket that was delivered more than once was given back, and another one replaced it: its host died before it
    /// acked this one, or the ack was lost.
    async fn is_replaced(&self, ticket: &Ticket) -> Result<bool, BackendError> {
        let _unused = ticket;
        Ok(false)
    }

    /// Waits until what arrived after its receiver had stopped is given back. For a host that stops: it takes no more tickets.
    async fn give_back_late(&self) {}

    /// How long a lease lasts without an extension.
    fn lease(&self) -> Duration;

    /// Returns the items of a run that have a ticket: of one incarnation, or of all.
    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError>;
}

/// Stores start messages and delivers them to coordinators.
#[async_trait]
pub trait Starts: Send + Sync {
    /// Publishes a start message as any client would. Returns what the sender can know it by.
    async fn publish_start(&self, request: &StartRequest) -> Result<StartMessage, BackendError>;

    /// Returns the start messages of a workflow, at most one for each free slot. The stream owns all slots.
    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError>;

    /// Moves start messages, and signals if the backend has some, to the dead letters that are older than `grace`, and whose
    /// workflow no host has ever served. Returns their number.
    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError>;
}

/// Stores results and dead letters.
#[async_trait]
pub trait Results: Send + Sync {
    /// Publishes the result of a run. The first result of an incarnation is final. It replaces that of another incarnation if
    /// the current record of the run has its incarnation, or, without a record, if its revision is later.
    ///
    /// The refusal of a start message is kept for its sender in any case, and is a result of the run only if the run has no record.
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError>;

    /// Waits up to `wait` for a result of a run; `None` if there is none by then. That of a start message is its refusal or, once the
    /// message is settled, that of the current record.
    async fn done(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError>;

    /// Publishes a dead letter.
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError>;
}

/// Stores which hosts are alive.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Reports that this host is alive. Has to be repeated within [`announce_every`](Self::announce_every).
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError>;

    /// Reports that this host stops.
    async fn leave(&self, host: &str) -> Result<(), BackendError>;

    /// Returns the live hosts.
    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError>;

    /// The time within which a host has to report again.
    fn announce_every(&self) -> Duration;

    /// The clock that all hosts of this backend share: they take every time from it that another host may see.
    fn clock(&self) -> Arc<dyn Clock>;
}

/// A backend: all that the engine needs.
pub trait Backend:
    SnapshotStore
    + TicketQueue
    + Alarms
    + Cancels
    + Starts
    + Signals
    + Results
    + Beats
    + Hosts
    + fmt::Debug
    + 'static
{
}

impl<T> Backend for T where
    T: SnapshotStore
        + TicketQueue
        + Alarms
        + Cancels
        + Starts
        + Signals
        + Results
        + Beats
        + Hosts
        + fmt::Debug
        + 'static
{
}
