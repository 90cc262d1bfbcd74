//! The lease of a ticket, which is given back without counting as an attempt.
//!
//! A nak is one delivery more, and from the second delivery on an attempt counts as lost with its worker. So a ticket that is
//! given back is published again, under a subject of its own, and the old message is acknowledged.
//!
//! | the host dies, or | state | mended by |
//! |---|---|---|
//! | before the new ticket is stored | the old one is leased | its lease ends: a lost attempt |
//! | before the old one is acknowledged, or the acknowledgement is lost | both exist | the old one comes when its lease ends, and whoever gets it finds that it was [replaced](jetway_engine::backend::TicketQueue::is_replaced) |
//! | the server forgets the new ticket in a crash | none exists | the sweep |
//!
//! [`TicketQueue::is_replaced`]: jetway_engine::backend::TicketQueue::is_replaced

use super::{decode, write_of};
use crate::{
    committer::Committer,
    names::Names,
    pull::{DeliveryInfo, GiveBack, MessageLease},
};
use async_nats::{Message, jetstream::AckKind};
use async_trait::async_trait;
use jetway_engine::backend::{BackendError, Lease, Ticket};
use jetway_state::Fingerprint;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long the server may take to confirm that the old message is acknowledged.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// Publishes tickets again that are given back.
#[derive(Debug)]
pub(super) struct ReturnTickets {
    pub(super) names: Names,
    pub(super) committer: Arc<Committer>,
}

impl ReturnTickets {
    /// Publishes the ticket that replaces a delivered one, and acknowledges that one. If there is no room for it, the old
    /// message itself is given back.
    async fn replace(
        &self,
        with: Ticket,
        fingerprint: Fingerprint,
        lease: &MessageLease,
    ) -> Result<(), BackendError> {
        let (run, item) = (with.run(), with.item.clone());
        let stored = self.committer.write(write_of(&self.names, with, fingerprint)?).await;
        if let Err(error) = stored {
            let error = error.error_of(format!("the ticket of item {item} of run {run}"));
            tracing::warn!(%run, %item, %error, "cannot publish a ticket again: it is given back, and counts as an attempt");
            return lease.send(AckKind::Nak(None)).await;
        }
        if let Err(error) = lease.send_confirmed(AckKind::Ack, CONFIRMED_WITHIN).await {
            tracing::debug!(%run, %item, %error, "a ticket that was replaced may come again when its lease ends");
        }
        Ok(())
    }
}

#[async_trait]
impl GiveBack for ReturnTickets {
    async fn give_back(
        &self,
        message: &Message,
        delivery: DeliveryInfo,
        lease: &MessageLease,
    ) -> Result<(), BackendError> {
        match decode(&self.names, message) {
            Ok((ticket, fingerprint)) => {
                self.replace(ticket.returned(delivery.delivered, false), fingerprint, lease).await
            }
            // Whoever gets it next deals with it.
            Err(_) => lease.send(AckKind::Nak(None)).await,
        }
    }
}

/// The lease of a ticket.
#[derive(Debug)]
pub(super) struct TicketLease {
    message: Arc<MessageLease>,
    ticket: Ticket,
    fingerprint: Fingerprint,
    delivered: u32,
    counted: AtomicBool,
    return_tickets: Arc<ReturnTickets>,
}

impl TicketLease {
    pub(super) fn new(
        ticket: &Ticket,
        fingerprint: Fingerprint,
        delivered: u32,
        message: Arc<MessageLease>,
        return_tickets: &Arc<ReturnTickets>,
    ) -> Self {
        let (ticket, return_tickets) = (ticket.clone(), Arc::clone(return_tickets));
        Self { message, ticket, fingerprint, delivered, counted: AtomicBool::new(false), return_tickets }
    }
}

#[async_trait]
impl Lease for TicketLease {
    async fn extend(&self) -> Result<(), BackendError> {
        self.message.extend().await
    }

    async fn ack(&self) -> Result<(), BackendError> {
        self.message.ack().await
    }

    async fn nak(&self) -> Result<(), BackendError> {
        let with = self.ticket.returned(self.delivered, self.counted.load(Ordering::Relaxed));
        self.return_tickets.replace(with, self.fingerprint, &self.message).await
    }

    async fn nak_later(&self, delay: Duration) -> Result<(), BackendError> {
        self.message.nak_later(delay).await
    }

    fn attempt_counted(&self) {
        self.counted.store(true, Ordering::Relaxed);
    }

    fn duration(&self) -> Duration {
        self.message.duration()
    }
}
