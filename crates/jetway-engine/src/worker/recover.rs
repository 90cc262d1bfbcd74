//! Repairs after a ticket whose item is done already.

use super::session::TicketSession;
use crate::{
    backend::{BackendError, Delivery},
    fail_point::FailPoint,
    snapshots::CachedSnapshot,
    tickets::SECOND_ATTEMPT,
};
use jetway_state::{
    ItemId, Timestamp,
    run::{Effect, Snapshot, tickets_under},
};

/// What the commit that continued a run as new may not have published.
fn continued(snapshot: &Snapshot) -> Vec<Effect> {
    vec![Effect::ArmAlarm { since: snapshot.updated_at }, Effect::PublishMissing]
}

impl TicketSession<'_> {
    /// Whether no other worker can have received this ticket or run its item without one. An old delivery does not count: a
    /// message can be late by more than its lease, and others may have received it since.
    fn is_only_holder(&self, now: Timestamp) -> bool {
        let Delivery { ticket, delivered, lease, .. } = self.delivery;
        let is_fresh = now.since(ticket.at) < lease.duration() / 2;
        !self.overtaken && self.steps == 0 && *delivered <= 1 && ticket.attempt <= 1 && is_fresh
    }

    /// Whether a host that stopped gave this ticket back, so that nobody works under it.
    fn is_given_back(&self, now: Timestamp) -> bool {
        self.delivery.ticket.given_back > 0 && self.is_only_holder(now)
    }

    /// Whether something is pending that was committed under a ticket of this item, which is done. Whoever looks for items without a
    /// ticket relies on this one to bring it back, also if it is new: it may have been published twice, and the other one is gone. A
    /// wake-up may come twice while the other one is held, and has nothing to bring back then.
    fn is_relied_on(&self, seen: &CachedSnapshot, now: Timestamp) -> bool {
        let (snapshot, item) = (&seen.snapshot, self.ticket_item());
        self.delivery.ticket.woken_by.is_none()
            && self.is_of_ticket(seen)
            && !snapshot.is_pending(item)
            && !tickets_under(snapshot, item, now).is_empty()
    }

    /// The item of this ticket was done by another worker, which may have crashed, or may hold no lease that brings its work
    /// back. Publishes tickets for what is pending, before this one is acked.
    ///
    /// Reads the latest snapshot: other hosts may have continued under this ticket.
    pub(super) async fn recover(&self, seen: &CachedSnapshot) -> Result<(), BackendError> {
        let Self { worker, run, .. } = self;
        let now = worker.clock.now();
        let given_back = self.is_given_back(now);
        // Whoever gave it back may have committed its item, and gone on.
        let is_new = self.is_only_holder(now) && !given_back;
        if is_new && !self.is_relied_on(seen, now) {
            return Ok(());
        }
        let latest = worker.snapshots.load(run, self.delivery.ticket.seen()).await?;
        let Some(cached) = latest else { return Ok(()) };
        let (snapshot, version) = (&cached.snapshot, self.version(&cached));
        if !self.is_of_ticket(&cached) {
            return match snapshot.follows(self.delivery.ticket.incarnation) && snapshot.status.is_active() {
                // The first ticket of the new incarnation, or the alarm for its deadline, may be missing.
                true => self.worker.dispatcher.carry_out(version, Vec::new(), continued(snapshot)).await,
                false => Ok(()),
            };
        }
        if snapshot.status.is_terminal() {
            return worker.dispatcher.reapply_end_effects(version).await;
        }
        let wanted = match self.delivery.ticket.attempt {
            // The holder had to publish the tickets of what had become due, whatever ticket that was committed under.
            1 if !is_new
                && !snapshot.has_waited(snapshot.updated_at)
                && *self.ticket_item() != ItemId::deadline() =>
            {
                tickets_under(snapshot, self.ticket_item(), now)
            }
            // The sweep published this ticket, or its holder began the clean-up of the run. The worker that did its item may have held a ticket that is acked by now.
            // Or it is new, and most of what was committed under the other one has tickets.
            _ => worker.tickets.items_without_ticket(run, snapshot, Some(self.ticket_item()), now).await?,
        };
        let tickets = worker.tickets.resolve(version, wanted).await?;
        // A worker may be running one of these items without a ticket, unless it was the one that stopped.
        let attempt = if given_back { 1 } else { SECOND_ATTEMPT };
        worker.tickets.publish(FailPoint::TicketPublished, version, tickets, attempt).await?;
        worker.tickets.arm(version, now).await
    }
}
