//! A backend with another one behind it, for tests that change some of the calls: lose a ticket, refuse a write, answer late.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jetway_core::clock::Clock;
use jetway_engine::backend::{
    Alarm, Alarms, Backend, BackendError, BeatKey, Beats, CancelNews, Cancels, DeadLetter, Delivery,
    HostInfo, Hosts, NewSignal, Results, RunResult, RunsPage, RunsQuery, SignalDelivery, Signals,
    SnapshotStore, SnapshotWrite, StaleRun, StartDelivery, StartRequest, Starts, Stored, StoredSignal,
    Ticket, TicketIndex, TicketQueue,
};
use jetway_state::{
    Fingerprint, Incarnation, ItemId, RunKey, Seen, StartMessage, StoreId, Timestamp, WorkflowName,
    run::{ChunkRef, WantedResult},
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The calls that a test may change. Each goes to the [inner](Self::inner) backend unless it is overridden.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use jetway_engine::{
///     backend::{Backend, BackendError, BackendErrorKind, RunResult},
///     memory::MemoryBackend,
/// };
/// use jetway_testing::interceptor::{Intercepted, Interceptor};
///
/// /// Stores no result.
/// #[derive(Debug)]
/// struct NoResults(MemoryBackend);
///
/// #[async_trait]
/// impl Interceptor for NoResults {
///     fn inner(&self) -> &dyn Backend {
///         &self.0
///     }
///
///     async fn publish_done(&self, _result: RunResult) -> Result<(), BackendError> {
///         Err(BackendError::new(BackendErrorKind::NoRoom, "by order of the test"))
///     }
/// }
///
/// let backend = Intercepted(NoResults(MemoryBackend::new()));
/// ```
#[async_trait]
pub trait Interceptor: fmt::Debug + Send + Sync + 'static {
    /// The backend behind it.
    fn inner(&self) -> &dyn Backend;

    /// See [`SnapshotStore::load`].
    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        self.inner().load(run, seen).await
    }

    /// See [`Alarms::arm`].
    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        self.inner().arm(alarm).await
    }

    /// See [`Alarms::disarm`].
    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError> {
        self.inner().disarm(run, incarnation, due).await
    }

    /// See [`SnapshotStore::commit`].
    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        self.inner().commit(write).await
    }

    /// See [`SnapshotStore::drop_all_chunks`].
    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.inner().drop_all_chunks(run, incarnation).await
    }

    /// See [`SnapshotStore::stale`].
    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        self.inner().stale(after, before).await
    }

    /// See [`SnapshotStore::ended_since`].
    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        self.inner().ended_since(since).await
    }

    /// See [`TicketQueue::publish`].
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        self.inner().publish(tickets).await
    }

    /// See [`TicketQueue::tickets`].
    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        self.inner().tickets(workflow, slots).await
    }

    /// See [`Signals::stored_signals`].
    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        self.inner().stored_signals(run, after, most).await
    }

    /// See [`TicketQueue::ticket_loss_events`].
    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        self.inner().ticket_loss_events()
    }

    /// See [`Results::publish_done`].
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        self.inner().publish_done(result).await
    }

    /// See [`Results::dead_letter`].
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.inner().dead_letter(letter).await
    }

    /// See [`Beats::keep_beat`].
    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError> {
        self.inner().keep_beat(key, detail).await
    }
}

/// A backend whose calls go through an interceptor.
#[derive(Debug)]
pub struct Intercepted<I>(pub I);

#[async_trait]
impl<I: Interceptor> SnapshotStore for Intercepted<I> {
    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        self.0.load(run, seen).await
    }

    async fn glance(&self, runs: &[RunKey]) -> Result<Vec<Stored>, BackendError> {
        self.0.inner().glance(runs).await
    }

    fn store_id(&self) -> StoreId {
        self.0.inner().store_id()
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        self.0.commit(write).await
    }

    async fn read_chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError> {
        self.0.inner().read_chunk(run, incarnation, chunk).await
    }

    async fn drop_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError> {
        self.0.inner().drop_chunks(run, incarnation, chunks).await
    }

    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.0.drop_all_chunks(run, incarnation).await
    }

    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        self.0.inner().runs(query).await
    }

    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        self.0.stale(after, before).await
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        self.0.ended_since(since).await
    }

    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        self.0.inner().collect_orphaned_chunks(grace).await
    }

    fn max_snapshot(&self) -> usize {
        self.0.inner().max_snapshot()
    }

    fn keep_finished(&self) -> Option<Duration> {
        self.0.inner().keep_finished()
    }
}

#[async_trait]
impl<I: Interceptor> TicketQueue for Intercepted<I> {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        self.0.publish(tickets).await
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        self.0.tickets(workflow, slots).await
    }

    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        self.0.ticket_loss_events()
    }

    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        self.0.inner().drop_stale_tickets(workflow).await
    }

    async fn ticket_index(&self, workflow: &WorkflowName) -> Result<Option<TicketIndex>, BackendError> {
        self.0.inner().ticket_index(workflow).await
    }

    async fn queued(&self, workflow: &WorkflowName) -> Result<Option<u64>, BackendError> {
        self.0.inner().queued(workflow).await
    }

    async fn is_replaced(&self, ticket: &Ticket) -> Result<bool, BackendError> {
        self.0.inner().is_replaced(ticket).await
    }

    async fn give_back_late(&self) {
        self.0.inner().give_back_late().await;
    }

    fn lease(&self) -> Duration {
        self.0.inner().lease()
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        self.0.inner().items_with_tickets(run, incarnation).await
    }
}

#[async_trait]
impl<I: Interceptor> Starts for Intercepted<I> {
    async fn publish_start(&self, request: &StartRequest) -> Result<StartMessage, BackendError> {
        self.0.inner().publish_start(request).await
    }

    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError> {
        self.0.inner().starts(workflow, slots).await
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        self.0.inner().dead_letter_unroutable_starts(grace).await
    }
}

#[async_trait]
impl<I: Interceptor> Signals for Intercepted<I> {
    async fn publish_signal(&self, signal: &NewSignal) -> Result<StoredSignal, BackendError> {
        self.0.inner().publish_signal(signal).await
    }

    async fn signals(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<SignalDelivery, BackendError>>, BackendError> {
        self.0.inner().signals(workflow, slots).await
    }

    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        self.0.stored_signals(run, after, most).await
    }

    fn letter_of(&self, signal: &NewSignal) -> DeadLetter {
        self.0.inner().letter_of(signal)
    }

    async fn put_off_signals(&self, run: &RunKey, most: usize) -> Result<Vec<StoredSignal>, BackendError> {
        self.0.inner().put_off_signals(run, most).await
    }

    async fn remove_put_off(&self, signal: &StoredSignal) -> Result<(), BackendError> {
        self.0.inner().remove_put_off(signal).await
    }

    async fn put_off(&self, signal: &StoredSignal, due: Timestamp) -> Result<(), BackendError> {
        self.0.inner().put_off(signal, due).await
    }
}

#[async_trait]
impl<I: Interceptor> Results for Intercepted<I> {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        self.0.publish_done(result).await
    }

    async fn done(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        self.0.inner().done(run, wanted, wait).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.0.dead_letter(letter).await
    }
}

#[async_trait]
impl<I: Interceptor> Alarms for Intercepted<I> {
    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        self.0.arm(alarm).await
    }

    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError> {
        self.0.disarm(run, incarnation, due).await
    }

    async fn ring_overdue(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<u64, BackendError> {
        self.0.inner().ring_overdue(workflow, since, until).await
    }
}

#[async_trait]
impl<I: Interceptor> Beats for Intercepted<I> {
    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError> {
        self.0.keep_beat(key, detail).await
    }

    async fn last_beat(&self, key: &BeatKey) -> Result<Option<Bytes>, BackendError> {
        self.0.inner().last_beat(key).await
    }
}

#[async_trait]
impl<I: Interceptor> Cancels for Intercepted<I> {
    async fn tell_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.0.inner().tell_cancelled(run, incarnation).await
    }

    fn hear_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> CancelNews {
        self.0.inner().hear_cancelled(run, incarnation)
    }
}

#[async_trait]
impl<I: Interceptor> Hosts for Intercepted<I> {
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError> {
        self.0.inner().announce(host).await
    }

    async fn leave(&self, host: &str) -> Result<(), BackendError> {
        self.0.inner().leave(host).await
    }

    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError> {
        self.0.inner().hosts().await
    }

    fn announce_every(&self) -> Duration {
        self.0.inner().announce_every()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.0.inner().clock()
    }
}
