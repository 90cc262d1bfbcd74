//! Arming the alarms of runs, and publishing what has become due.

use crate::{
    backend::{Alarm, BackendError, Ticket},
    fail_point::FailPoint,
    snapshots::{CachedSnapshot, RunVersion},
    tickets::{SECOND_ATTEMPT, Tickets},
};
use jetway_state::{
    Incarnation, ItemId, RunKey, Timestamp,
    run::{AlarmWanted, NEAR, TicketFor, pending_ticket, rings_at},
};

impl Tickets {
    /// Arms the alarm that a run needs after `since`, if items become due then. A time that has passed meanwhile rings at once.
    pub(crate) async fn arm(&self, version: RunVersion<'_>, since: Timestamp) -> Result<(), BackendError> {
        let Some(alarm) = version.cached.snapshot.alarm(since) else { return Ok(()) };
        let is_far = alarm.due > self.now().after(NEAR);
        self.arm_alarm(version, alarm, since).await?;
        if is_far && self.has_ended(version).await? {
            self.disarm(version, None).await;
        }
        Ok(())
    }

    /// Whether the run has ended by now: whoever ended it may have looked for its alarms before the latest was armed.
    async fn has_ended(&self, version: RunVersion<'_>) -> Result<bool, BackendError> {
        let latest = self.latest(version).await?;
        let incarnation = version.cached.snapshot.incarnation;
        let goes_on = |latest: CachedSnapshot| {
            latest.snapshot.incarnation == incarnation && !latest.snapshot.status.is_terminal()
        };
        Ok(!latest.is_some_and(goes_on))
    }

    async fn arm_alarm(
        &self,
        version: RunVersion<'_>,
        AlarmWanted { due, ticket }: AlarmWanted,
        since: Timestamp,
    ) -> Result<(), BackendError> {
        let woken_by = Some(version.cached.seen());
        // A longer wait is armed again when this alarm rings. A ticket of a piece says that its time has come, also where the clock of
        // this host is behind.
        let due = rings_at(due, since.max(self.now()));
        for ticket in self.resolve(version, vec![ticket]).await? {
            let ticket = Ticket { woken_by, ..self.ticket(version, ticket, 1) };
            self.backend().arm(Alarm { due, ticket, build: version.build }).await?;
        }
        Ok(())
    }

    /// Disarms an alarm that nothing waits for any more, or all alarms of a run that has ended. An alarm that is left over finds
    /// nothing to do.
    pub(crate) async fn disarm(&self, version: RunVersion<'_>, due: Option<Timestamp>) {
        let (snapshot, now) = (&version.cached.snapshot, self.now());
        let due = due.map(|due| rings_at(due, now));
        // A piece of a longer wait may ring at the same time.
        if due.is_some() && due == snapshot.alarm(now).map(|next| rings_at(next.due, now)) {
            return;
        }
        if let Err(error) = self.backend().disarm(version.run, snapshot.incarnation, due).await {
            tracing::debug!(run = %version.run, %error, "an alarm is left over");
        }
    }

    /// Disarms all alarms of an incarnation from which the run has continued as new.
    pub(crate) async fn disarm_all_of(&self, run: &RunKey, former: Incarnation) {
        if let Err(error) = self.backend().disarm(run, former, None).await {
            tracing::debug!(%run, %error, "alarms of an earlier incarnation are left over");
        }
    }

    /// Publishes the tickets of a commit. That of an item that has waited for its time, and gets a slot now, is one of its own: another
    /// ticket of the item may still be there, whose holder found no slot and is about to ack it.
    pub(crate) async fn publish_committed(
        &self,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
    ) -> Result<(), BackendError> {
        let snapshot = &version.cached.snapshot;
        let has_waits = snapshot.has_waits();
        let (waited, others): (Vec<_>, Vec<_>) =
            tickets.into_iter().partition(|ticket| has_waits && snapshot.has_wait(&ticket.item));
        self.publish(FailPoint::TicketPublished, version, others, 1).await?;
        for ticket in waited {
            self.publish_woken(version, ticket, version.cached.seen()).await?;
        }
        Ok(())
    }

    /// Publishes the tickets of pending items that have none.
    pub(crate) async fn publish_missing(&self, version: RunVersion<'_>) -> Result<(), BackendError> {
        let Some((cached, missing)) = self.missing(version.run, version.cached.clone(), self.now()).await?
        else {
            return Ok(());
        };
        let version = RunVersion { cached: &cached, ..version };
        self.publish(FailPoint::TicketPublished, version, missing, SECOND_ATTEMPT).await
    }

    /// Publishes tickets for items whose wait is over: tickets of their own, since others of these items may still be there. In a run
    /// that is paused, nothing starts until it is resumed.
    pub(crate) async fn wake(&self, version: RunVersion<'_>, items: &[ItemId]) -> Result<(), BackendError> {
        let (snapshot, now) = (&version.cached.snapshot, self.now());
        if !snapshot.status.is_active() {
            return Ok(());
        }
        let wanted = items.iter().filter_map(|item| pending_ticket(snapshot, item, now)).collect();
        let woken_by = Some(version.cached.seen());
        let tickets = self.resolve(version, wanted).await?.into_iter();
        let tickets: Vec<_> = tickets
            .map(|ticket| (Ticket { woken_by, ..self.ticket(version, ticket, 1) }, version.build))
            .collect();
        match tickets.is_empty() {
            true => Ok(()),
            false => self.send(tickets).await,
        }
    }

    /// Publishes tickets for what became due between the last commit and the one before it.
    pub(crate) async fn publish_due(
        &self,
        version: RunVersion<'_>,
        since: Timestamp,
        except: &ItemId,
    ) -> Result<(), BackendError> {
        let snapshot = &version.cached.snapshot;
        let wanted = snapshot.due_between(since, snapshot.updated_at, except);
        let tickets = self.resolve(version, wanted).await?;
        self.publish_batch(version, tickets, 1).await
    }

    /// The alarm of a run has rung for the item `rung`: publishes tickets for the other items that are due, and arms the next alarm.
    pub(crate) async fn alarm_rang(
        &self,
        version: RunVersion<'_>,
        rung: &ItemId,
        now: Timestamp,
    ) -> Result<(), BackendError> {
        let due = version.cached.snapshot.now_due(now, rung);
        let tickets = self.resolve(version, due.tickets).await?;
        self.publish_batch(version, tickets, 1).await?;
        match due.alarm {
            Some(alarm) => self.arm_alarm(version, alarm, now).await,
            None => Ok(()),
        }
    }
}
