//! Items that wait for a time, or for signals.
//!
//! A ticket is a hint: it may come before the item is due, also when nobody forged it, since clocks differ a little. An item that is
//! due very soon is kept in hand. For another one the alarm is armed again, and the ticket is acked.

use super::session::{NextAction, PendingAttempt, TicketSession};
use crate::{
    backend::BackendError,
    snapshots::{CachedSnapshot, CommitOutcome},
};
use jetway_state::{
    ItemId, Timestamp,
    run::{AlarmWanted, AttemptId, ChildWanted, Effect, EncodedOutcome, TicketFor},
};
use std::time::Duration;

/// An item that is due within this time is kept in hand, with its ticket and its slot: servers need this long to ring an alarm.
const IN_HAND: Duration = Duration::from_millis(250);

impl TicketSession<'_> {
    /// The time that counts for this ticket. The ticket of an alarm was published when its time had come, by the clock of the server.
    pub(super) fn now(&self) -> Timestamp {
        self.worker.clock.now().max(self.delivery.ticket.at)
    }

    /// Whether the item may have to wait for its time, or for a signal.
    pub(super) fn waits(&self, next: &PendingAttempt) -> bool {
        let snapshot = &next.cached.snapshot;
        snapshot.status.is_active() && snapshot.has_waits() && !snapshot.is_due(&next.item, self.now())
    }

    /// An alarm has rung: looks for everything that is due.
    pub(super) async fn alarm_rang(&self, cached: &CachedSnapshot) -> Result<(), BackendError> {
        let (snapshot, version, now) = (&cached.snapshot, self.version(cached), self.now());
        if !self.is_of_ticket(cached) {
            return Ok(());
        }
        if *self.ticket_item() == ItemId::deadline() || !snapshot.status.is_active() {
            // A long deadline is armed in pieces, and that of a run that was paused has become later.
            return match snapshot.runs_until() {
                Some(_) => self.retry(|| self.worker.tickets.arm(version, now)).await,
                None => Ok(()),
            };
        }
        self.retry(|| self.worker.tickets.alarm_rang(version, self.ticket_item(), now)).await
    }

    /// Waits until the item is due, if that is soon. `None` if it is.
    pub(super) async fn wait(&self, next: &PendingAttempt) -> Result<Option<NextAction>, BackendError> {
        let (snapshot, clock) = (&next.cached.snapshot, &self.worker.clock);
        if snapshot.waits_for_person(&next.item) {
            // Whoever committed that may have crashed before it published the tickets of others.
            self.recover(&next.cached).await?;
            return Ok(Some(NextAction::Park(next.item.clone(), Vec::new())));
        }
        while !snapshot.is_due(&next.item, self.now()) {
            let soon = snapshot.due_of(&next.item).filter(|due| due.since(self.now()) <= IN_HAND);
            let Some(due) = soon else {
                let version = self.version(&next.cached);
                self.retry(|| self.worker.tickets.arm(version, self.now())).await?;
                // It may become due before the ack, when no second ticket can be published.
                return Ok(Some(NextAction::Park(next.item.clone(), Vec::new())));
            };
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Ok(Some(NextAction::Nak)),
                () = clock.sleep_until(due) => {}
            }
        }
        match snapshot.signal_wait(&next.item) {
            Some(_) => self.read_again(next).await.map(Some),
            None => Ok(None),
        }
    }

    /// An attempt at the item is about to be committed. If it begins to wait for signals, the run first gets those that were sent before it
    /// was there: the wait could end without them.
    pub(super) async fn before_wait(
        &self,
        produced: &EncodedOutcome,
        cached: &CachedSnapshot,
    ) -> Result<(), BackendError> {
        let signals = &self.worker.signals;
        match produced {
            EncodedOutcome::WaitFor(_) | EncodedOutcome::Await(ChildWanted { or: Some(_), .. }) => {
                Box::pin(self.retry(|| signals.before_wait(self.run, &cached.snapshot))).await
            }
            _ => Ok(()),
        }
    }

    /// The deadline of a wait for signals has passed in hand: a signal may have come meanwhile.
    async fn read_again(&self, next: &PendingAttempt) -> Result<NextAction, BackendError> {
        let seen = next.cached.seen();
        let latest = self.retry(|| self.worker.snapshots.load(self.run, seen)).await?;
        let Some(cached) = latest else { return Ok(NextAction::Ack) };
        let PendingAttempt { attempt, uncounted, queue_wait, .. } = *next;
        Ok(NextAction::Attempt(PendingAttempt {
            item: next.item.clone(),
            attempt,
            uncounted,
            queue_wait,
            cached,
        }))
    }

    /// The only item of the run, if it is due very soon: it is kept in hand, and needs no alarm.
    pub(super) fn due_soon(&self, cached: &CachedSnapshot, effects: &mut Vec<Effect>) -> Option<TicketFor> {
        let arms = |effect: &Effect| matches!(effect, Effect::ArmAlarm { .. });
        if !effects.iter().any(arms) || cached.snapshot.pending() != 1 {
            return None;
        }
        let AlarmWanted { due, mut ticket } = cached.snapshot.alarm(cached.snapshot.updated_at)?;
        if due.since(self.now()) > IN_HAND || ticket.item == ItemId::deadline() {
            return None;
        }
        let node = ticket.node.take()?;
        effects.retain(|effect| !arms(effect));
        Some(ticket.for_node(node))
    }

    /// Whether the item has waited for its time or its signals, and now waits for a slot at its node.
    pub(super) fn is_due_for_slot(&self, next: &PendingAttempt) -> bool {
        let snapshot = &next.cached.snapshot;
        let has_waited = |item: &ItemId| snapshot.has_wait(item) && snapshot.is_due(item, self.now());
        snapshot.status.is_active() && snapshot.waits_for_slot(&next.item) && has_waited(&next.item)
    }

    /// Commits that due items get slots, as far as there are any.
    pub(super) async fn admit(&mut self, next: PendingAttempt) -> Result<NextAction, BackendError> {
        let PendingAttempt { item, attempt, uncounted, queue_wait, cached } = next;
        let incarnation = cached.snapshot.incarnation;
        let id = AttemptId { incarnation, item: item.clone(), node: String::new(), number: attempt };
        let report = id.report(self.ticket_item().clone(), self.now(), EncodedOutcome::Admit, None);
        let committed = self.commit(report, None, &cached).await?;
        match committed.outcome {
            CommitOutcome::Committed(mut tickets, effects) => {
                let cached = committed.cached;
                let own = tickets.iter().position(|ticket| ticket.item == item);
                let Some(own) = own.map(|position| tickets.remove(position)) else {
                    return self.dispatch(cached, tickets, effects, None).await;
                };
                // This is its ticket: another one would be refused while this one exists.
                self.worker.dispatcher.carry_out(self.version(&cached), tickets, effects).await?;
                Ok(NextAction::Attempt(PendingAttempt {
                    item: own.item,
                    attempt,
                    uncounted,
                    queue_wait,
                    cached,
                }))
            }
            // No slot is free, and whoever frees one publishes another ticket, perhaps before the ack of this one; or somebody has
            // done that.
            CommitOutcome::Discarded | CommitOutcome::RunAgain => Ok(NextAction::Park(item, Vec::new())),
        }
    }
}
