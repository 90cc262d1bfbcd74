//! Tickets in memory.

use super::{
    MemoryBackend,
    leases::{Leases, Message},
};
use crate::backend::{BackendError, BackendErrorKind, Delivery, Ticket, TicketQueue};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_state::{Fingerprint, Incarnation, ItemId, RunKey, WorkflowName};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Semaphore;

pub(super) type Queue = Leases<(Ticket, Fingerprint)>;

/// Run, incarnation, item and activation: the tickets of a run follow one another.
type TicketKey = (RunKey, Incarnation, ItemId, String);

impl MemoryBackend {
    fn keys_of_run(&self, run: &RunKey) -> Result<Vec<TicketKey>, BackendError> {
        // No item has a lower id.
        let lowest = ItemId::new("-").map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, "cannot look for the tickets of a run")
                .caused_by(error)
        })?;
        let first = (run.clone(), Incarnation::default(), lowest, String::new());
        Ok(self.tickets.keys(run.workflow.as_str(), &first, |(of, ..)| of == run))
    }
}

impl Message for (Ticket, Fingerprint) {
    type Key = TicketKey;

    fn key(&self) -> Option<TicketKey> {
        let (ticket, _) = self;
        Some((ticket.run(), ticket.incarnation, ticket.item.clone(), ticket.activation()))
    }

    fn returned(self, delivered: u32, counted: bool) -> (Self, u32) {
        let (ticket, fingerprint) = self;
        ((ticket.returned(delivered, counted), fingerprint), 0)
    }
}

#[async_trait]
impl TicketQueue for MemoryBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        for (ticket, fingerprint) in tickets {
            let lane = ticket.workflow.to_string();
            self.tickets.add(&lane, (ticket, fingerprint));
        }
        Ok(())
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let (backend, lane, duration) = (self.clone(), workflow.to_string(), self.lease);
        Ok(stream::unfold((), move |()| {
            let (backend, lane, slots) = (backend.clone(), lane.clone(), Arc::clone(&slots));
            async move {
                let MemoryBackend { tickets: queue, alarms, clock, .. } = &backend;
                let ((ticket, fingerprint), delivered, lease, slot) = tokio::select! {
                    biased;
                    taken = queue.take(&lane, &slots, duration) => taken?,
                    never = alarms.ring(queue, &**clock) => match never {},
                };
                Some((Ok(Delivery { ticket, fingerprint, delivered, lease, slot }), ()))
            }
        })
        .boxed())
    }

    async fn queued(&self, workflow: &WorkflowName) -> Result<Option<u64>, BackendError> {
        Ok(Some(self.tickets.waiting(workflow.as_str())))
    }

    async fn is_replaced(&self, ticket: &Ticket) -> Result<bool, BackendError> {
        let keys = self.keys_of_run(&ticket.run())?;
        Ok(keys
            .iter()
            .any(|(_, _, item, activation)| *item == ticket.item && ticket.is_replaced_by(activation)))
    }

    fn lease(&self) -> std::time::Duration {
        self.lease
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        let keys = self.keys_of_run(run)?.into_iter();
        let of = keys.filter(|(_, of, ..)| incarnation.is_none_or(|incarnation| *of == incarnation));
        Ok(of.map(|(_, _, item, _)| item).collect())
    }
}
