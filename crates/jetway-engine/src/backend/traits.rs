//! The traits that a backend implements.

use super::{
    BackendError, DeadLetter, Delivery, HostInfo, RunsPage, RunsQuery, SnapshotWrite, StaleRun,
    StartDelivery, StartRequest, Stored, Ticket,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use jetway_state::{Fingerprint, ItemId, RunKey, Timestamp, WorkflowName, run::ChunkRef};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Keeps snapshots and the chunks beside them.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// The latest snapshot: a read that sees every write that was acknowledged before it began.
    async fn load(&self, run: &RunKey) -> Result<Option<Stored>, BackendError>;

    /// Writes by compare-and-swap and returns the new revision. An answer that was lost is resolved here: the call
    /// returns the revision, or a conflict, or says that nothing is known and the backend is out of reach.
    ///
    /// # Errors
    /// `Conflict` where the expected revision is not the latest, `TooLarge`, `Unavailable`.
    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError>;

    /// The bytes of a chunk; `None` where it was dropped.
    async fn read_chunk(&self, run: &RunKey, chunk: ChunkRef) -> Result<Option<Bytes>, BackendError>;

    /// Removes chunks.
    async fn drop_chunks(&self, run: &RunKey, chunks: &[ChunkRef]) -> Result<(), BackendError>;

    /// Removes every chunk of a run.
    async fn drop_all_chunks(&self, run: &RunKey) -> Result<(), BackendError>;

    /// A page of runs.
    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError>;

    /// Unfinished and cancelled runs with a revision above `after` that were last written before `before`, in the order of
    /// writing, and the revision up to which everything has been looked at. Never reads a run twice for one cursor.
    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError>;

    /// The runs that ended since `since`. Only asked after tickets may have been lost: the host that ended a run may have
    /// been lost before it told so, and its ticket with it.
    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError>;

    /// Removes chunks that no snapshot names and none will, and that are older than `grace`: of a writer that was lost, or
    /// that lost its race, after its run had ended. Returns how many runs they were of.
    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError>;

    /// The largest snapshot, in bytes, that [`commit`](Self::commit) takes.
    fn max_snapshot(&self) -> usize;
}

/// Keeps tickets and hands them to workers.
#[async_trait]
pub trait TicketQueue: Send + Sync {
    /// Publishes tickets; one that lives already is left as it is.
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError>;

    /// The tickets of a workflow, as many at once as there are free slots. All the slots belong to this delivery: those
    /// that are free are kept for tickets to come. Dropping the stream stops the delivery.
    /// A ticket that cannot be decoded goes to the dead letters and is not seen here.
    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError>;

    /// Tells each time that tickets may have been lost although they were published, and since when: the run of a lost one has
    /// to be found by a sweep. Says nothing where the backend keeps every ticket.
    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        stream::pending().boxed()
    }

    /// Removes the tickets of a workflow that are there and would never be handed out, since the queue takes them for
    /// settled. Returns how many. A queue that keeps its word has none.
    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        let _keeps_its_word = workflow;
        Ok(0)
    }

    /// The items of a run that have a ticket.
    async fn items_with_tickets(&self, run: &RunKey) -> Result<BTreeSet<ItemId>, BackendError>;
}

/// Keeps start messages and hands them to coordinators.
#[async_trait]
pub trait Starts: Send + Sync {
    /// Publishes a start message as any client would.
    async fn publish_start(&self, request: &StartRequest) -> Result<(), BackendError>;

    /// The start messages of a workflow, as many at once as there are free slots, which all belong to this delivery.
    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError>;

    /// Moves start messages that no host has ever known the workflow of, and that are older than `grace`, to the dead
    /// letters. Returns how many.
    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError>;
}

/// Keeps results and dead letters.
#[async_trait]
pub trait Results: Send + Sync {
    /// Publishes the result of a run, JSON. The first one stays, until a later run of the same name has another.
    async fn publish_done(&self, run: &RunKey, result: Bytes) -> Result<(), BackendError>;

    /// The result of a run that began at `since` or later, waiting for it up to `wait`; `None` where it has not ended by then.
    async fn done(
        &self,
        run: &RunKey,
        since: Timestamp,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError>;

    /// Keeps a dead letter.
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError>;
}

/// Knows which hosts are alive.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Says that this host is alive; to be said again within [`announce_every`](Self::announce_every).
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError>;

    /// Says that this host goes.
    async fn leave(&self, host: &str) -> Result<(), BackendError>;

    /// The hosts that are alive.
    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError>;

    /// How often a host has to announce itself.
    fn announce_every(&self) -> Duration;
}

/// Everything the engine needs of a backend.
pub trait Backend: SnapshotStore + TicketQueue + Starts + Results + Hosts + fmt::Debug + 'static {}

impl<T> Backend for T where T: SnapshotStore + TicketQueue + Starts + Results + Hosts + fmt::Debug + 'static {}
