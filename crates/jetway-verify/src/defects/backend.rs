//! A backend that breaks one promise and keeps all others.

use super::{Defect, early_effects::publish_early, records::misread};
use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use jetway::{RunKey, WorkflowName};
use jetway_engine::backend::{
    Alarm, Backend, BackendError, Delivery, Lease, SnapshotWrite, StaleRun, Stored, StoredSignal, Ticket,
};
use jetway_state::{Fingerprint, ItemId, Seen, Timestamp};
use jetway_testing::interceptor::Interceptor;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Longer than any wait of a run that does not fail.
const AHEAD: Duration = Duration::from_secs(5);

/// Changes the calls that a defect is about.
#[derive(Debug)]
pub(super) struct DefectiveCalls {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) defect: Defect,
}

#[async_trait]
impl Interceptor for DefectiveCalls {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        misread(self.defect, self.inner.load(run, seen).await?)
    }

    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        match self.defect {
            // Whoever has a later one applies it, and what is stored before it counts as applied.
            Defect::SkippedSignals => Ok(Vec::new()),
            _ => self.inner.stored_signals(run, after, most).await,
        }
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

    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        match self.defect {
            Defect::NoTicketAnew => self.publish_old(tickets).await,
            _ => self.inner.publish(tickets).await,
        }
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        match self.defect {
            Defect::EarlyAlarms => self.inner.publish(vec![(alarm.ticket, alarm.build)]).await,
            Defect::NoAlarms => Ok(()),
            _ => self.inner.arm(alarm).await,
        }
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

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let tickets = self.inner.tickets(workflow, slots).await?;
        Ok(match self.defect {
            Defect::AckBeforeCommit => tickets.then(acked_early).boxed(),
            Defect::EarlyAlarms => tickets.map(ahead).boxed(),
            _ => tickets,
        })
    }
}

impl DefectiveCalls {
    /// Publishes all but the first tickets of runs that have continued as new.
    async fn publish_old(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        let mut old = Vec::new();
        for (ticket, build) in tickets {
            let run = RunKey::new(ticket.workflow.clone(), ticket.run_id.clone());
            let is_new = match self.inner.load(&run, Seen::default()).await? {
                Some(stored) if ticket.item == ItemId::start() => stored.open()?.0.continued > 0,
                _ => false,
            };
            if !is_new {
                old.push((ticket, build));
            }
        }
        self.inner.publish(old).await
    }
}

/// A ticket that seems to be of a later time than it is.
fn ahead(delivered: Result<Delivery, BackendError>) -> Result<Delivery, BackendError> {
    let mut delivery = delivered?;
    delivery.ticket.at = delivery.ticket.at.after(AHEAD);
    Ok(delivery)
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
