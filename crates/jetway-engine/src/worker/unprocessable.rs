//! Tickets that this host cannot process: another build wrote the item, or data is damaged.
//!
//! The ticket is given back some times first, with a growing delay, since a host of another build may take it, and another
//! replica may have what this one lacks. After that:
//!
//! | what cannot be read | outcome |
//! |---|---|
//! | the input or the context, and this build wrote it | the step fails at once, and takes its `on_failure` edge |
//! | the input or the context, and another build wrote it | the item is marked in the record; one dead letter |
//! | a record of a newer version beside the snapshot | the same |
//! | a chunk that is lost or damaged | the step fails |
//! | the snapshot | nothing is written; one dead letter |

use super::{
    TicketOutcome,
    session::{NextAction, PendingAttempt, TicketSession},
};
use crate::{
    backend::{BackendError, BackendErrorKind, DeadLetter, Delivery},
    inputs::ReadyItem,
    snapshots::CachedSnapshot,
    wait_for_build::{DELIVERIES, DELIVERIES_TO_OTHERS, delay_before_next, is_about_data},
};
use jetway_core::step::{AttemptResult, Swap, Swapped, TaskInput, Unreadable, swap_until};
use jetway_state::{
    Fingerprint, ItemId,
    run::{
        AttemptId, EncodedOutcome, FoundUnreadable, Marked, Snapshot, UnreadableBy, UnreadablePart,
        mark_unreadable,
    },
};
use std::time::Duration;

impl TicketSession<'_> {
    /// What to do with an item that this build cannot read, and did not write.
    pub(super) async fn set_aside(
        &self,
        next: PendingAttempt,
        node: String,
        unreadable: Unreadable,
    ) -> Result<NextAction, BackendError> {
        let Unreadable { part, expected, error } = unreadable;
        let written_by = self.writer(&next, part);
        let found = self.found(next.item.clone(), node, part, written_by, expected, error.to_string());
        self.wait_for_another_build(&next.cached, found).await
    }

    /// Whether this build cannot read an item and another build wrote it.
    pub(super) fn check(&self, next: &PendingAttempt, ready: &ReadyItem) -> Result<(), Unreadable> {
        match self.workflow.check(&ready.node, &ready.input, &next.cached.snapshot.context) {
            Err(unreadable) if !self.has_written(next, &unreadable) => Err(unreadable),
            _ => Ok(()),
        }
    }

    /// Whether this build wrote what it cannot read.
    pub(super) fn has_written(&self, next: &PendingAttempt, unreadable: &Unreadable) -> bool {
        self.writer(next, unreadable.part) == self.workflow.fingerprint()
    }

    /// The build that wrote the input of an item, or the context.
    fn writer(&self, next: &PendingAttempt, part: UnreadablePart) -> Fingerprint {
        let CachedSnapshot { snapshot, build, .. } = &next.cached;
        match part {
            UnreadablePart::Input => snapshot.writer_of(&next.item, *build),
            UnreadablePart::Context | UnreadablePart::Record => *build,
        }
    }

    /// The result of an attempt at an item that this build wrote and cannot read: the step fails.
    pub(super) fn failed_to_read(
        &self,
        next: &PendingAttempt,
        node: &str,
        input: &TaskInput,
        unreadable: &Unreadable,
    ) -> AttemptResult {
        let id = AttemptId {
            incarnation: next.cached.snapshot.incarnation,
            item: next.item.clone(),
            node: node.to_owned(),
            number: next.attempt,
        };
        let produced = self.workflow.failure(input, &id, &unreadable.error, self.now());
        AttemptResult { produced, context: None, cancelled: false, requested_child: None, retry: None }
    }

    /// Gives the ticket back so that another host may take it. At last it marks the item in the record, with one dead letter
    /// for each item and build, and one log line for each run and build.
    async fn wait_for_another_build(
        &self,
        cached: &CachedSnapshot,
        found: FoundUnreadable,
    ) -> Result<NextAction, BackendError> {
        let build = found.by.build;
        let is_marked = cached.snapshot.is_unreadable_by(&found.item, build);
        let deliveries = if is_marked { DELIVERIES_TO_OTHERS } else { DELIVERIES };
        if let Some(delay) = self.delay_before(deliveries) {
            return Ok(NextAction::Later(delay));
        }
        if is_marked
            || mark_unreadable(Snapshot::clone(&cached.snapshot), found.clone(), cached.snapshot.commit)
                .is_none()
        {
            // Everything is said already, or the run has so many of them that it is not said of each.
            return Ok(NextAction::Ack);
        }
        // First the letter: a crash between the two repeats it under the same id, and loses none.
        self.retry(|| self.worker.backend.dead_letter(self.letter_of(&found))).await?;
        let marked = self.retry(|| swap_until(Mark { session: self, found: &found, cached })).await;
        match marked {
            Ok(is_first) if is_first => say(self, &found),
            Ok(_) => {}
            // The marker needs some bytes that the record does not have.
            Err(error) if error.kind() == BackendErrorKind::TooLarge => say(self, &found),
            Err(error) => return Err(error),
        }
        Ok(NextAction::Ack)
    }

    fn found(
        &self,
        item: ItemId,
        node: String,
        part: UnreadablePart,
        written_by: Fingerprint,
        expected: Option<String>,
        reason: String,
    ) -> FoundUnreadable {
        let (build, host) = (self.workflow.fingerprint(), self.worker.host.to_string());
        let since = self.worker.clock.now();
        FoundUnreadable {
            item,
            node,
            part,
            written_by,
            by: UnreadableBy { build, expected, host, since, reason },
        }
    }

    /// The delay after which the ticket is delivered again; `None` if it was delivered so often.
    fn delay_before(&self, deliveries: u32) -> Option<Duration> {
        let Delivery { delivered, lease, .. } = self.delivery;
        delay_before_next(*delivered, deliveries, lease.duration())
    }

    /// Gives the ticket back for a while.
    pub(super) async fn give_back(&self, delay: Duration) -> TicketOutcome {
        match self.delivery.lease.nak_later(delay).await {
            Ok(()) => TicketOutcome::Nacked { steps: self.steps },
            Err(error) => TicketOutcome::Abandoned { steps: self.steps, error },
        }
    }

    /// Goes on after an error that is about the data.
    pub(super) async fn go_on_after(&mut self, error: BackendError) -> Result<NextAction, BackendError> {
        if let Some(delay) = self.delay_before(DELIVERIES) {
            tracing::debug!(run = %self.run, %error, "cannot process ticket: giving it back for a while");
            return Ok(NextAction::Later(delay));
        }
        match self.record_unprocessable(error).await? {
            // What follows has no ticket: this one counts for it.
            NextAction::Attempt(next) => self.attempts(next).await,
            end => Ok(end),
        }
    }

    async fn record_unprocessable(&mut self, error: BackendError) -> Result<NextAction, BackendError> {
        let ticket = &self.delivery.ticket;
        let latest = match self.worker.snapshots.load(self.run, ticket.seen()).await {
            Err(error) if !is_about_data(error.kind()) => return Err(error),
            // An error of the snapshot itself: see below.
            latest => latest.ok().flatten(),
        };
        let is_ready = |latest: &CachedSnapshot| {
            let snapshot = &latest.snapshot;
            self.is_of_ticket(latest) && snapshot.status.is_active() && snapshot.is_pending(&ticket.item)
        };
        let Some(cached) = latest.filter(is_ready) else {
            let letter = self.letter(&ticket.item, &ticket.node, error.to_string());
            tracing::error!(run = %self.run, node = %ticket.node, item = %ticket.item, "cannot process ticket: moving it to the dead letters, with the reason");
            // It may quote a value.
            tracing::debug!(%error, "cannot process ticket");
            self.retry(|| self.worker.backend.dead_letter(letter.clone())).await?;
            return Ok(NextAction::Ack);
        };
        let (item, node) =
            (ticket.item.clone(), cached.snapshot.node_of(&ticket.item).unwrap_or(&ticket.node).to_owned());
        match error.kind() {
            BackendErrorKind::Newer => {
                let part = UnreadablePart::Record;
                let found = self.found(item, node, part, cached.build, None, error.to_string());
                self.wait_for_another_build(&cached, found).await
            }
            _ => self.fail_corrupt(cached, item, node, &error).await,
        }
    }

    /// Fails a step whose input is lost or damaged.
    async fn fail_corrupt(
        &mut self,
        cached: CachedSnapshot,
        item: ItemId,
        node: String,
        error: &BackendError,
    ) -> Result<NextAction, BackendError> {
        let attempt = cached.snapshot.attempt_at(&item);
        let incarnation = cached.snapshot.incarnation;
        let id = AttemptId { incarnation, item: item.clone(), node, number: attempt };
        let produced = match cached.snapshot.is_cancelled(&item) {
            true => EncodedOutcome::CleanUp(None),
            false => EncodedOutcome::Failed(id.error_of_kind("corrupt", error.to_string())),
        };
        let report = id.report(self.ticket_item().clone(), self.worker.clock.now(), produced, None);
        let committed = self.commit(report, None, &cached).await?;
        let next = PendingAttempt { item, attempt, uncounted: false, queue_wait: None, cached };
        self.after_commit(next, committed, None).await
    }

    fn letter_of(&self, found: &FoundUnreadable) -> DeadLetter {
        let FoundUnreadable { item, node, written_by, by, .. } = found;
        let UnreadableBy { build, reason, .. } = by;
        let mut letter = self.letter(item, node, format!("{}: {reason}", sentence(found)));
        letter.id = format!("{}/{}/{item}/{build}", self.run, self.delivery.ticket.incarnation);
        letter.headers.extend([
            ("Jetway-Build".to_owned(), build.to_string()),
            ("Jetway-Written-By".to_owned(), written_by.to_string()),
        ]);
        letter
    }

    fn letter(&self, item: &ItemId, node: &str, reason: String) -> DeadLetter {
        let ticket = &self.delivery.ticket;
        DeadLetter {
            workflow: ticket.workflow.to_string(),
            why: "cannot-run".to_owned(),
            reason,
            headers: vec![
                ("Jetway-Run-Id".to_owned(), ticket.run_id.to_string()),
                ("Jetway-Incarnation".to_owned(), ticket.incarnation.to_string()),
                ("Jetway-Node".to_owned(), node.to_owned()),
                ("Jetway-Item-Id".to_owned(), item.to_string()),
            ],
            id: format!("{}/{}/{item}/{}", self.run, ticket.incarnation, ticket.revision),
            ..DeadLetter::default()
        }
    }
}

/// What cannot be read, by which build, and who wrote it. It quotes no value.
fn sentence(found: &FoundUnreadable) -> String {
    let FoundUnreadable { node, part, written_by, by, .. } = found;
    let what = match part {
        UnreadablePart::Input => format!("the input of node {node:?}"),
        UnreadablePart::Context => format!("the context for node {node:?}"),
        UnreadablePart::Record => format!("a record that node {node:?} needs"),
    };
    let expected = by.expected.as_ref().map_or_else(String::new, |expected| format!(" as {expected}"));
    format!("build {} cannot read {what}{expected}, which build {written_by} wrote", by.build)
}

/// The log line for a run.
fn say(session: &TicketSession<'_>, found: &FoundUnreadable) {
    let sentence = sentence(found);
    tracing::error!(
        run = %session.run, node = %found.node, item = %found.item,
        "{sentence}: the run waits for a host of a build that can, as `jetway status` says"
    );
}

/// One marker, until its write succeeds. Whether it is the first one of this build in the run.
struct Mark<'a> {
    session: &'a TicketSession<'a>,
    found: &'a FoundUnreadable,
    cached: &'a CachedSnapshot,
}

impl Swap for Mark<'_> {
    /// `None` if the run was deleted.
    type State = Option<CachedSnapshot>;
    type Output = bool;
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        self.session.worker.snapshots.load(self.session.run, self.cached.seen()).await
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<bool>, BackendError> {
        let snapshots = &self.session.worker.snapshots;
        let Some(cached) = state.filter(|cached| self.session.is_of_ticket(cached)) else {
            return Ok(Swapped::Done(false));
        };
        let (snapshot, commit) = (Snapshot::clone(&cached.snapshot), snapshots.next_commit());
        let Some(Marked { snapshot, is_first }) = mark_unreadable(snapshot, self.found.clone(), commit)
        else {
            return Ok(Swapped::Done(false));
        };
        match snapshots.write(cached.build, &snapshot, Vec::new(), cached.seen()).await {
            Ok(revision) => {
                let marked = snapshots.found(snapshot, revision, cached.build);
                snapshots.slot(self.session.run).keep(&marked);
                Ok(Swapped::Done(is_first))
            }
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let (item, run) = (&self.found.item, self.session.run);
        let message = format!(
            "cannot mark item {item} of run {run} as unreadable: {conflicts} writes of others came first"
        );
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}
