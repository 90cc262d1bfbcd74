//! A backend that breaks one promise and keeps all others.

use super::{Defect, early_effects::publish_early};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use jetway::{Clock, ItemId, RunKey, WorkflowName};
use jetway_engine::backend::{
    Backend, BackendError, DeadLetter, Delivery, HostInfo, Hosts, Lease, Results, RunResult, RunsPage,
    RunsQuery, SnapshotStore, SnapshotWrite, StaleRun, StartDelivery, StartRequest, Starts, Stored, Ticket,
    TicketQueue,
};
use jetway_state::{
    Fingerprint, Incarnation, Seen, StoreId, Timestamp,
    run::{ChunkRef, WantedResult},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A decorator of a backend.
#[derive(Debug)]
pub(super) struct DefectiveBackend {
    inner: Arc<dyn Backend>,
    defect: Defect,
}

impl DefectiveBackend {
    pub(super) fn new(inner: Arc<dyn Backend>, defect: Defect) -> Self {
        Self { inner, defect }
    }
}

#[async_trait]
impl SnapshotStore for DefectiveBackend {
    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        self.inner.load(run, seen).await
    }

    fn store_id(&self) -> StoreId {
        self.inner.store_id()
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        if self.defect == Defect::EffectsBeforeCommit {
            publish_early(&*self.inner, &write).await?;
        }
        let run = write.run.clone();
        match self.inner.commit(write).await {
            Err(error) if error.is_conflict() && self.defect == Defect::ForgottenConflict => {
                let latest = self.inner.load(&run, Seen::default()).await?;
                latest.map(|stored| stored.revision).ok_or(error)
            }
            written => written,
        }
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
        match self.defect {
            Defect::NoSweep => Ok((Vec::new(), after)),
            _ => self.inner.stale(after, before).await,
        }
    }

    async fn ended_since(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        match self.defect {
            Defect::NoSweep => Ok(Vec::new()),
            _ => self.inner.ended_since(since).await,
        }
    }

    async fn collect_orphaned_chunks(&self, grace: Duration) -> Result<u64, BackendError> {
        self.inner.collect_orphaned_chunks(grace).await
    }

    fn max_snapshot(&self) -> usize {
        self.inner.max_snapshot()
    }

    fn keep_finished(&self) -> Option<Duration> {
        self.inner.keep_finished()
    }
}

#[async_trait]
impl TicketQueue for DefectiveBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        self.inner.publish(tickets).await
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let tickets = self.inner.tickets(workflow, slots).await?;
        Ok(match self.defect {
            Defect::AckBeforeCommit => tickets.then(acked_early).boxed(),
            _ => tickets,
        })
    }

    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        self.inner.ticket_loss_events()
    }

    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        self.inner.drop_stale_tickets(workflow).await
    }

    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        self.inner.items_with_tickets(run, incarnation).await
    }
}

async fn acked_early(delivered: Result<Delivery, BackendError>) -> Result<Delivery, BackendError> {
    let delivery = delivered?;
    delivery.lease.ack().await?;
    let lease = Arc::new(AckedLease { duration: delivery.lease.duration() });
    Ok(Delivery { lease, ..delivery })
}

/// The lease of a message that is acked already.
#[derive(Debug)]
struct AckedLease {
    duration: Duration,
}

#[async_trait]
impl Lease for AckedLease {
    async fn extend(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn ack(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn nak(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn duration(&self) -> Duration {
        self.duration
    }
}

#[async_trait]
impl Starts for DefectiveBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<u64, BackendError> {
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
impl Results for DefectiveBackend {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        self.inner.publish_done(result).await
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
impl Hosts for DefectiveBackend {
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
