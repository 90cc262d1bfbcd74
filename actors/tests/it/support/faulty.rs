//! The in-memory backend with injected faults.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_core::clock::Clock;
use jetway_engine::{
    backend::{
        BackendError, BackendErrorKind, DeadLetter, Delivery, HostInfo, Hosts, Results, RunResult, RunsPage,
        RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, StartDelivery, StartRequest, Starts, Stored,
        Ticket, TicketQueue,
    },
    memory::MemoryBackend,
};
use jetway_state::{
    Fingerprint, Incarnation, ItemId, RunKey, Timestamp, WorkflowName,
    run::{ChunkRef, WantedResult},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};

/// A fault of a stream of tickets.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Opening it fails with this error.
    Refused(BackendErrorKind),
    /// Its first item is this error.
    Errs(BackendErrorKind),
    /// It ends without an item.
    Ends,
    /// It panics when notified.
    Panics(Arc<Notify>),
}

/// How the backend handles a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ResultFault {
    /// It is stored.
    None,
    /// It is lost without an error.
    Lost,
    /// It is refused: no space is left.
    Refused,
}

/// The in-memory backend with injected faults.
#[derive(Debug)]
pub(crate) struct FaultyBackend {
    inner: MemoryBackend,
    streams: Mutex<VecDeque<Fault>>,
    lost: Mutex<u32>,
    results: Mutex<ResultFault>,
    power_cut: Arc<Notify>,
}

impl FaultyBackend {
    /// The first streams of tickets have these faults, one each; all others work.
    pub(crate) fn streams(faults: impl IntoIterator<Item = Fault>) -> Self {
        let streams = Mutex::new(faults.into_iter().collect());
        Self {
            inner: MemoryBackend::new(),
            streams,
            lost: Mutex::new(0),
            results: Mutex::new(ResultFault::None),
            power_cut: Arc::default(),
        }
    }

    /// Loses the first `publications` publications of tickets.
    pub(crate) fn losing(publications: u32) -> Self {
        Self { lost: Mutex::new(publications), ..Self::streams([]) }
    }

    /// Sets how results are handled from now on.
    pub(crate) fn results(&self, fault: ResultFault) {
        *self.results.lock().unwrap() = fault;
    }

    /// Reports to the host that tickets may be lost.
    pub(crate) fn report_power_cut(&self) {
        self.power_cut.notify_one();
    }
}

fn error(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind, "by order of the test")
}

#[async_trait]
impl TicketQueue for FaultyBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        {
            let mut lost = self.lost.lock().unwrap();
            if *lost > 0 {
                *lost -= 1;
                return Ok(());
            }
        }
        self.inner.publish(tickets).await
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let fault = self.streams.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(Fault::Errs(kind)) => Ok(stream::iter([Err(error(kind))]).boxed()),
            Some(Fault::Ends) => Ok(stream::empty().boxed()),
            Some(Fault::Panics(when)) => {
                let panics = stream::once(async move {
                    when.notified().await;
                    panic!("by order of the test")
                });
                let working = self.inner.tickets(workflow, slots).await?;
                Ok(stream::select(working, panics).boxed())
            }
            None => self.inner.tickets(workflow, slots).await,
        }
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        self.inner.items_with_tickets(run, incarnation).await
    }

    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        let power_cut = self.power_cut.clone();
        stream::unfold(power_cut, async |power_cut| {
            power_cut.notified().await;
            Some((jetway_core::clock::now(), power_cut))
        })
        .boxed()
    }
}

#[async_trait]
impl SnapshotStore for FaultyBackend {
    async fn load(&self, run: &RunKey) -> Result<Option<Stored>, BackendError> {
        self.inner.load(run).await
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        self.inner.commit(write).await
    }

    async fn read_chunk(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
    ) -> Result<Option<Bytes>, BackendError> {
        self.inner.read_chunk(run, incarnation, chunk).await
    }

    async fn drop_chunks(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunks: &[ChunkRef],
    ) -> Result<(), BackendError> {
        self.inner.drop_chunks(run, incarnation, chunks).await
    }

    async fn drop_all_chunks(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.inner.drop_all_chunks(run, incarnation).await
    }

    async fn runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        self.inner.runs(query).await
    }

    async fn stale(&self, after: u64, before: Timestamp) -> Result<(Vec<StaleRun>, u64), BackendError> {
        self.inner.stale(after, before).await
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        self.inner.ended_since(since).await
    }

    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        self.inner.collect_orphaned_chunks(grace).await
    }

    fn max_snapshot(&self) -> usize {
        self.inner.max_snapshot()
    }
}

#[async_trait]
impl Starts for FaultyBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<(), BackendError> {
        self.inner.publish_start(request).await
    }

    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError> {
        self.inner.starts(workflow, slots).await
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        self.inner.dead_letter_unroutable_starts(grace).await
    }
}

#[async_trait]
impl Results for FaultyBackend {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        let fault = *self.results.lock().unwrap();
        match fault {
            ResultFault::None => self.inner.publish_done(result).await,
            ResultFault::Lost => Ok(()),
            ResultFault::Refused => Err(error(BackendErrorKind::NoRoom)),
        }
    }

    async fn done(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        self.inner.done(run, wanted, wait).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.inner.dead_letter(letter).await
    }
}

#[async_trait]
impl Hosts for FaultyBackend {
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError> {
        self.inner.announce(host).await
    }

    async fn leave(&self, host: &str) -> Result<(), BackendError> {
        self.inner.leave(host).await
    }

    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError> {
        self.inner.hosts().await
    }

    fn announce_every(&self) -> Duration {
        self.inner.announce_every()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock()
    }
}
