//! Tickets in memory.

use super::{
    MemoryBackend,
    leases::{Leases, Message},
};
use crate::backend::{BackendError, Delivery, Ticket, TicketQueue};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_state::{Fingerprint, Incarnation, ItemId, RunKey, WorkflowName};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Semaphore;

pub(super) type Queue = Leases<(Ticket, Fingerprint)>;

impl Message for (Ticket, Fingerprint) {
    fn returned(self, delivered: u32, counted: bool) -> (Self, u32) {
        let (ticket, fingerprint) = self;
        ((ticket.returned(delivered, counted), fingerprint), 0)
    }
}

#[async_trait]
impl TicketQueue for MemoryBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        for (ticket, fingerprint) in tickets {
            let (lane, new) = (ticket.workflow.to_string(), ticket.clone());
            let key = |ticket: &Ticket| {
                (ticket.run(), ticket.incarnation, ticket.item.clone(), ticket.activation())
            };
            self.tickets.add(&lane, (ticket, fingerprint), |(other, _)| key(other) == key(&new));
        }
        Ok(())
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let (queue, lane, duration) = (Arc::clone(&self.tickets), workflow.to_string(), self.lease);
        Ok(stream::unfold((), move |()| {
            let (queue, lane, slots) = (Arc::clone(&queue), lane.clone(), Arc::clone(&slots));
            async move {
                let ((ticket, fingerprint), delivered, lease, slot) =
                    queue.take(&lane, &slots, duration).await?;
                Some((Ok(Delivery { ticket, fingerprint, delivered, lease, slot }), ()))
            }
        })
        .boxed())
    }

    async fn is_replaced(&self, ticket: &Ticket) -> Result<bool, BackendError> {
        let is_of_item = |other: &Ticket| other.run() == ticket.run() && other.item == ticket.item;
        let tickets = self.tickets.messages(ticket.workflow.as_str());
        let replaces = |other: &Ticket| is_of_item(other) && ticket.is_replaced_by(&other.activation());
        Ok(tickets.iter().any(|(other, _)| replaces(other)))
    }

    fn lease(&self) -> std::time::Duration {
        self.lease
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        let is_of = |ticket: &Ticket| incarnation.is_none_or(|incarnation| ticket.incarnation == incarnation);
        let tickets = self.tickets.messages(run.workflow.as_str());
        Ok(tickets
            .into_iter()
            .filter(|(ticket, _)| ticket.run() == *run && is_of(ticket))
            .map(|(ticket, _)| ticket.item)
            .collect())
    }
}
