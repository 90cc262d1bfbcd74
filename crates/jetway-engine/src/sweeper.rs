//! The sweep: publishes missing tickets again, and repeats the effects of the end of a run that has no result.
//!
//! In a healthy system it finds nothing. One run that cannot be read, or that fails, does not stop it: only a backend that
//! does not answer does.

mod glance;
mod keep;
mod readable;
mod schedule;
mod trouble;

pub use schedule::Sweeper;

use crate::{
    backend::{Backend, BackendError},
    dispatch::Dispatcher,
    fail_point::{FailPoint, fail_point},
    registry::Registry,
    snapshots::{RunVersion, Snapshots},
    tickets::{SECOND_ATTEMPT, Tickets},
};
use futures::future::join_all;
use glance::Indexes;
use jetway_core::clock::Clock;
use jetway_state::{
    RunKey, Seen, Timestamp, WorkflowName,
    run::{Effect, MAX_ALARM, Snapshot, TicketFor, WantedResult, end_effects},
};
use schedule::{PendingCheck, SuspectedLoss};
use std::{collections::HashMap, sync::Arc, time::Duration};
use trouble::{Trouble, ends_the_sweep};

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Runs that were checked.
    pub runs_checked: u64,
    /// Tickets that were missing, and are published again.
    pub republished: u64,
}

/// After a suspected loss, the effects of runs that ended within this time are repeated. It covers a lease: the ticket of a
/// host that crashed earlier has been delivered again.
const RECENTLY_ENDED: Duration = Duration::from_secs(60);

/// How far back the first sweep of a host looks for alarms that have not rung.
const FIRST_LOOK_BACK: Duration = Duration::from_secs(3 * 3600);

/// How often the sweep looks for alarms that have not rung. It costs a request for each minute.
const RING_EVERY: Duration = Duration::from_secs(300);

/// An item whose time came this short a while ago lacks nothing: its alarm may be ringing.
const RINGS_WITHIN: Duration = Duration::from_secs(5);

/// How many items without a ticket the log names for a run, at most.
const MAX_NAMED: usize = 50;

/// How many pages of old runs one sweep reads, at most: a new host finds a day's finished runs, and does not read them all
/// at once.
const MAX_PAGES: usize = 10;

/// Finds and repairs runs that lack tickets or effects.
pub(crate) struct Sweep {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) clock: Arc<dyn Clock>,
    /// A run that was not written for this long is checked.
    pub(crate) stale_after: Duration,
}

/// How many runs are checked at once.
const AT_ONCE: usize = 256;

/// If more runs of a workflow are due than this, the tickets of all its runs are read at once: less than a request for each.
const INDEX_FROM: usize = 64;

/// The outcome of a check.
enum Outcome {
    /// Nothing more is to be done for the run.
    Done,
    /// The run has not ended.
    Live(Checked),
    /// There is no room for what the run may lack. Tells when its record was last written again.
    Postponed(Option<Timestamp>),
    /// The run cannot be checked, or its result cannot be stored. Tells when its record was last written again.
    Failed(BackendError, Option<Timestamp>),
}

impl Outcome {
    fn error(&self) -> Option<&BackendError> {
        match self {
            Self::Failed(error, _) => Some(error),
            Self::Done | Self::Live(_) | Self::Postponed(_) => None,
        }
    }
}

/// What was found at a run.
#[derive(Clone, Copy)]
struct Checked {
    /// Tickets that were published again.
    republished: u64,
    /// The revision that was checked, if the run was read.
    revision: Option<u64>,
    /// Nothing of the run is ready before this time.
    asleep_until: Option<Timestamp>,
}

impl Sweep {
    /// Checks the runs that were not written for a while. The next sweep continues where this one ends.
    ///
    /// # Errors
    /// The backend does not answer, or refuses to say which runs there are.
    pub(crate) async fn sweep(&self, sweeper: &mut Sweeper) -> Result<SweepReport, BackendError> {
        let now = self.clock.now();
        let found = self.find(sweeper, now).await;
        match found {
            Err(error) if ends_the_sweep(error.kind()) => Err(error),
            // The runs that are known already need their tickets all the same.
            found => self.check_due(sweeper, now).await.and_then(|report| found.map(|()| report)),
        }
    }

    /// Finds the runs to check.
    async fn find(&self, sweeper: &mut Sweeper, now: Timestamp) -> Result<(), BackendError> {
        sweeper.use_store(self.snapshots.store_id());
        self.drop_stale_tickets(sweeper).await?;
        self.ring_overdue(sweeper, now).await?;
        if let Some(SuspectedLoss { since, until }) = sweeper.suspected {
            for run in self.backend.ended_since(since.min(now).before(RECENTLY_ENDED)).await? {
                sweeper.add(run, PendingCheck::ended(until, Seen::default(), now, self.stale_after));
            }
        }
        let full_scan = sweeper.full_scan_due(now) || sweeper.suspected.is_some();
        if full_scan {
            while self.scan_page(sweeper, now, now, false).await? {}
            // Also the runs that are written now: a run with many branches is written all the time.
            self.scan_page(sweeper, now, now.after(self.stale_after), false).await?;
        } else {
            let stale = now.before(self.stale_after);
            let mut pages = 0;
            while pages < MAX_PAGES && self.scan_page(sweeper, now, stale, true).await? {
                pages += 1;
            }
        }
        // Not earlier: a scan that fails is repeated.
        sweeper.suspected = None;
        Ok(())
    }

    /// Adds the next runs that were last written before a moment to those to check. `only_stale`: a run that is written
    /// meanwhile needs no check. Returns whether there may be more.
    async fn scan_page(
        &self,
        sweeper: &mut Sweeper,
        now: Timestamp,
        before: Timestamp,
        only_stale: bool,
    ) -> Result<bool, BackendError> {
        let (stale, scanned) = self.backend.stale(sweeper.scanned, before).await?;
        let store = self.snapshots.store_id();
        for run in stale.into_iter().filter(|run| run.ended || self.serves(&run.run)) {
            let seen = Seen::new(run.revision, store);
            if run.ended {
                // A host may be carrying out the effects of a run that ended just now.
                let due = if only_stale { now } else { now.after(self.stale_after) };
                sweeper.add_unless_pending(run.run, PendingCheck::ended(due, seen, due, self.stale_after));
            } else {
                sweeper.add(run.run, PendingCheck::live(seen, only_stale, now, self.stale_after));
            }
        }
        let more = scanned != sweeper.scanned;
        sweeper.scanned = scanned;
        Ok(more)
    }

    /// Whether this host can publish the missing tickets of a run. Results are published by any host.
    fn serves(&self, run: &RunKey) -> bool {
        self.registry.get(run.workflow.as_str()).is_some()
    }

    /// Checks the runs that are due. A run that cannot be checked is due later, so that it does not delay the others.
    async fn check_due(&self, sweeper: &mut Sweeper, now: Timestamp) -> Result<SweepReport, BackendError> {
        let (mut report, mut trouble) = (SweepReport::default(), Trouble::default());
        let due = sweeper.due(now);
        let indexes = self.indexes(&due).await?;
        let (ended, live): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, check)| check.ended.is_some());
        for checks in [ended, live] {
            // The first check of a kind tells whether the backend answers and has room.
            let (mut rest, mut at_once) = (&checks[..], 1);
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(at_once.min(rest.len()));
                self.check_batch(batch, &indexes, sweeper, &mut report, &mut trouble, now).await?;
                (rest, at_once) = (later, AT_ONCE);
            }
        }
        Ok(report)
    }

    /// Checks runs at the same time.
    async fn check_batch(
        &self,
        batch: &[(RunKey, PendingCheck)],
        indexes: &Indexes,
        sweeper: &mut Sweeper,
        report: &mut SweepReport,
        trouble: &mut Trouble,
        now: Timestamp,
    ) -> Result<(), BackendError> {
        let whole = self.whole(batch, indexes).await?;
        let checks = batch.iter().map(|(run, check)| {
            let no_room = trouble.has_no_room(check.ended.is_some());
            let whole = whole.get(run).copied();
            async move {
                match whole {
                    Some(whole) => Outcome::Live(whole),
                    None => self.check(run, *check, no_room, now).await,
                }
            }
        });
        for ((run, check), outcome) in batch.iter().zip(join_all(checks).await) {
            report.runs_checked += u64::from(!matches!(outcome, Outcome::Postponed(_)));
            trouble.note(outcome.error(), check.ended.is_some());
            let later = check.postponed(now);
            match outcome {
                Outcome::Postponed(kept_at) => sweeper.add(run.clone(), PendingCheck { kept_at, ..later }),
                Outcome::Done => sweeper.remove(run),
                Outcome::Live(Checked { republished, revision, asleep_until }) => {
                    report.republished += republished;
                    let later = later.not_before(asleep_until.map(|due| due.after(self.stale_after)));
                    sweeper.add(run.clone(), PendingCheck { revision, ..later });
                }
                Outcome::Failed(error, kept_at) => {
                    tracing::warn!(%run, %error, "sweep skipped run");
                    sweeper.add(run.clone(), PendingCheck { revision: None, kept_at, ..later });
                    if trouble.is_unreachable() {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// The tickets of the workflows of which many runs are due.
    async fn indexes(&self, due: &[(RunKey, PendingCheck)]) -> Result<Indexes, BackendError> {
        let mut counts: HashMap<&WorkflowName, usize> = HashMap::new();
        for (run, _) in due.iter().filter(|(_, check)| check.ended.is_none()) {
            *counts.entry(&run.workflow).or_default() += 1;
        }
        let mut indexes = HashMap::new();
        for (workflow, _) in counts.into_iter().filter(|(_, count)| *count > INDEX_FROM) {
            match self.backend.ticket_index(workflow).await {
                Ok(index) => indexes.extend(index.map(|index| (workflow.clone(), index))),
                Err(error) if ends_the_sweep(error.kind()) => return Err(error),
                Err(error) => tracing::debug!(%workflow, %error, "sweep asks for the tickets of each run"),
            }
        }
        Ok(indexes)
    }

    /// Checks one run. `no_room`: what it may lack could not be stored.
    async fn check(&self, run: &RunKey, check: PendingCheck, no_room: bool, now: Timestamp) -> Outcome {
        if no_room {
            return Outcome::Postponed(self.keep_record(run, check, now).await);
        }
        let Some(before) = check.ended else {
            return match self.republish(run, check).await {
                Ok(Some(checked)) => Outcome::Live(checked),
                Ok(None) => Outcome::Done,
                Err(error) => Outcome::Failed(error, None),
            };
        };
        match self.reapply_end(run, check.seen, before).await {
            Ok(()) => Outcome::Done,
            Err(error) if ends_the_sweep(error.kind()) => Outcome::Failed(error, check.kept_at),
            Err(error) => Outcome::Failed(error, self.keep_record(run, check, now).await),
        }
    }

    /// Carries out the effects of the end of a run again.
    async fn reapply_end(&self, run: &RunKey, seen: Seen, before: Timestamp) -> Result<(), BackendError> {
        let Some((cached, build)) = self.snapshots.read(run, seen).await? else { return Ok(()) };
        let snapshot = &cached.snapshot;
        // A host that ended the run later than that is carrying out the effects, or its ticket is delivered again.
        if !snapshot.status.is_terminal() || snapshot.finished_at.is_none_or(|at| at > before) {
            return Ok(());
        }
        let mut effects = end_effects(snapshot);
        // Clients have seen a result that is stored.
        if self.backend.done(run, WantedResult::Of(snapshot.chain_id()), Duration::ZERO).await?.is_some() {
            effects.retain(|effect| *effect != Effect::PublishResult);
        }
        self.dispatcher.carry_out(RunVersion { run, build, cached: &cached }, Vec::new(), effects).await
    }

    /// Removes tickets that the queue would never deliver. Their items are found by a scan of all runs. If nothing is in doubt, it
    /// looks at one workflow in turn, and not in each sweep: it costs requests of an idle host.
    async fn drop_stale_tickets(&self, sweeper: &mut Sweeper) -> Result<(), BackendError> {
        for workflow in sweeper.in_turn(self.registry.iter().collect()) {
            let tickets = match self.backend.drop_stale_tickets(workflow.name()).await {
                Err(error) if ends_the_sweep(error.kind()) => return Err(error),
                Err(error) => {
                    tracing::warn!(workflow = %workflow.name(), %error, "sweep skipped the tickets of a workflow");
                    continue;
                }
                Ok(tickets) => tickets,
            };
            if tickets > 0 {
                tracing::warn!(workflow = %workflow.name(), tickets, "removed tickets that would never be delivered");
                let now = self.clock.now();
                sweeper.suspect_loss(now, now);
            }
        }
        Ok(())
    }

    /// Rings alarms that should have rung. Their items are found by themselves too, when they are due: this removes the alarms.
    async fn ring_overdue(&self, sweeper: &mut Sweeper, now: Timestamp) -> Result<(), BackendError> {
        let since = sweeper.rung_until.unwrap_or_else(|| now.before(FIRST_LOOK_BACK));
        let until = now.before(self.stale_after);
        // After a restart the server may hold alarms without ringing them.
        let in_doubt = sweeper.suspected.is_some();
        if sweeper.rung_until.is_some() && until.since(since) < RING_EVERY && !in_doubt {
            return Ok(());
        }
        for workflow in self.registry.iter().map(|workflow| workflow.name()) {
            match self.backend.ring_overdue(workflow, since, until).await {
                Err(error) if ends_the_sweep(error.kind()) => return Err(error),
                Err(error) => tracing::warn!(%workflow, %error, "sweep skipped the alarms of a workflow"),
                Ok(0) => {}
                Ok(alarms) => tracing::warn!(%workflow, alarms, "alarms had not rung in time"),
            }
        }
        sweeper.rung_until = Some(until);
        Ok(())
    }

    /// Publishes the missing tickets of a run. `None` if the run ended, or was written since its revision.
    async fn republish(&self, run: &RunKey, check: PendingCheck) -> Result<Option<Checked>, BackendError> {
        let PendingCheck { revision, seen, .. } = check;
        let Some(workflow) = self.registry.get(run.workflow.as_str()) else {
            return Ok(Some(Checked { republished: 0, revision, asleep_until: None }));
        };
        let Some(cached) = self.snapshots.load(run, seen).await? else {
            return Ok(None);
        };
        let is_written_since = revision.is_some_and(|revision| revision != cached.revision);
        if cached.snapshot.status.is_terminal() || is_written_since {
            return Ok(None);
        }
        let now = self.clock.now();
        if cached.snapshot.is_overdue(now) {
            self.dispatcher.end_overdue(run, cached.seen(), now).await?;
            return Ok(None);
        }
        if !cached.snapshot.intents.is_empty() {
            let version = RunVersion { run, build: cached.build, cached: &cached };
            self.dispatcher.carry_out_intents(version).await?;
        }
        if !cached.snapshot.status.is_active() {
            let revision = Some(cached.revision);
            return Ok(Some(Checked { republished: 0, revision, asleep_until: None }));
        }
        // In doubt, the alarm may be lost.
        let grace = if revision.is_some() { RINGS_WITHIN } else { Duration::ZERO };
        let due = self.clock.now().before(grace);
        let Some((cached, tickets)) = self.tickets.missing(run, cached, due).await? else {
            return Ok(None);
        };
        let tickets = self.readable(&**workflow, run, &cached, tickets).await?;
        let republished = tickets.len() as u64;
        if republished > 0 {
            let names = names(&tickets);
            // The run is being written: another host may be about to publish the tickets.
            let in_doubt =
                revision.is_none() || self.may_be_published(run, &cached.snapshot, &tickets).await?;
            match in_doubt {
                false => {
                    tracing::warn!(%run, tickets = republished, "tickets of pending items were missing: {names}");
                }
                true => {
                    tracing::info!(%run, tickets = republished, "tickets of pending items may be missing: {names}");
                }
            }
            fail_point(FailPoint::SweepFound);
            let version = RunVersion { run, build: workflow.fingerprint(), cached: &cached };
            // A worker may be running one of these items without a ticket.
            self.tickets.publish(FailPoint::SweepPublished, version, tickets, SECOND_ATTEMPT).await?;
            fail_point(FailPoint::SweepMended);
        }
        let (now, snapshot) = (self.clock.now(), &cached.snapshot);
        if revision.is_none() && snapshot.next_due(now).is_some() {
            // Alarms may be lost.
            self.tickets.arm(RunVersion { run, build: workflow.fingerprint(), cached: &cached }, now).await?;
        }
        Ok(Some(Checked {
            republished,
            revision: Some(cached.revision),
            asleep_until: asleep(snapshot, now),
        }))
    }
}

impl Sweep {
    /// Whether somebody else may publish these tickets: whoever holds a ticket of the run publishes those of all items that have
    /// become due, also after a crash, when its lease has ended.
    async fn may_be_published(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        tickets: &[TicketFor],
    ) -> Result<bool, BackendError> {
        if !tickets.iter().any(|ticket| snapshot.has_wait(&ticket.item)) {
            return Ok(false);
        }
        let held = self.backend.items_with_tickets(run, Some(snapshot.incarnation)).await?;
        Ok(!held.is_empty())
    }
}

/// Until when nothing of a run is ready, if all of it waits for times or signals. Whoever applies a signal writes the record, and then
/// the run is checked anew.
fn asleep(snapshot: &Snapshot, now: Timestamp) -> Option<Timestamp> {
    snapshot.is_asleep(now).then(|| snapshot.next_due(now).unwrap_or_else(|| now.after(MAX_ALARM)))
}

/// The first of the items, as `node/item`.
fn names(tickets: &[TicketFor]) -> String {
    let names = tickets.iter().take(MAX_NAMED).map(|ticket| format!("{}/{}", ticket.node, ticket.item));
    names.collect::<Vec<_>>().join(",")
}
