//! Checks everything that a phase has left on the server.

use super::{
    Kind::{self, ItemsWithoutTicket, Lost, Orphaned, Stuck, Wrong},
    Observed, Violation, chain, check_run, clean_up, counts, limits, order, timers,
};
use crate::{
    driver::Ended,
    fleet::ItemWithoutTicket,
    interpreter::Execution,
    reference_model::Expected,
    runs::{Runs, Started},
};
use jetway::{
    Clock as _, SystemClock, Timestamp,
    client::{ClientError, DoneView},
};
use jetway_engine::backend::{BackendError, RunsQuery, SnapshotStore as _};
use jetway_nats::NatsBackend;
use jetway_state::run::Snapshot;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

/// How far the times of a run may be from those of the server: hosts learn its time within a round trip.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A violation of one run, or of the phase as a whole.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The run; `None` if the violation belongs to no run.
    pub run: Option<String>,
    /// The violation.
    pub violation: Violation,
}

/// The result of a phase.
#[derive(Debug)]
pub struct Report {
    /// The number of runs by their last status.
    pub ended: BTreeMap<&'static str, u64>,
    /// The number of child runs.
    pub children: u64,
    /// The number of committed steps, those of child runs included.
    pub steps: u64,
    /// The number of committed steps that waited for a time.
    pub timers: u64,
    /// How often programs met each kind of wait, of command and of signal.
    pub counts: BTreeMap<&'static str, u64>,
    /// How often ids were used again, and in which way.
    pub used_ids: BTreeMap<&'static str, u64>,
    /// The violations.
    pub findings: Vec<Finding>,
    /// How many alarms may be left of clean-ups whose records were removed.
    pub(super) forgotten_alarms: u64,
}

/// What happened in a phase.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Reads the snapshots.
    pub backend: &'a NatsBackend,
    /// The runs that were started.
    pub runs: &'a Runs,
    /// Their results, as the starters saw them.
    pub ended: &'a [Ended],
    /// The executions of nodes.
    pub executions: &'a [Execution],
    /// The items without a ticket that sweeps have found.
    pub items_without_ticket: &'a [ItemWithoutTicket],
    /// When the phase began, by the clock of the server's machine, which is this one.
    pub began: Timestamp,
    /// Whether a fault may have removed tickets of any run.
    pub any_ticket_lost: bool,
    /// Whether the machines of the hosts have the clock of the server.
    pub exact_clocks: bool,
    /// Whether there were no faults.
    pub is_calm: bool,
}

impl Report {
    /// Checks a phase whose runs have ended.
    ///
    /// # Errors
    /// A request to the server failed.
    pub async fn new(evidence: &Evidence<'_>) -> Result<Self, BackendError> {
        let mut report = Self {
            ended: BTreeMap::new(),
            children: 0,
            steps: 0,
            timers: 0,
            counts: counts::counters(),
            used_ids: BTreeMap::new(),
            findings: Vec::new(),
            forgotten_alarms: 0,
        };
        let executed = executed(evidence.executions);
        let snapshots = all_snapshots(evidence.backend).await?;
        let ended: BTreeMap<String, &Ended> =
            evidence.ended.iter().map(|ended| (ended.run.to_string(), ended)).collect();
        for (run, started) in evidence.runs.started() {
            match snapshots.get(&run) {
                Some(snapshot) => {
                    report.check_run(&run, started, snapshot, ended.get(&run).copied());
                    report.check_executed(evidence, &run, started, snapshot, executed.get(run.as_str()));
                }
                None => report.add(Some(&run), Lost, "the run does not exist"),
            }
        }
        let phase = evidence.began.before(TOLERANCE)..=SystemClock.now().after(TOLERANCE);
        for (run, snapshot) in &snapshots {
            report.steps += snapshot.steps;
            // One that cannot be read is reported by another check.
            if let Ok(Observed { ledger, .. }) = Observed::of(snapshot) {
                report.timers += timers::count(&ledger.trail);
                report.count_steps(&ledger);
                report.count_chain(snapshot);
                report.count_cancel(snapshot, ledger.trail.iter().any(order::is_clean_up));
            }
            report.check_times(run, snapshot, &phase);
            if snapshot.parent.is_some() {
                report.check_child(run, snapshot);
            }
        }
        report.check_used_ids(evidence, &snapshots).await?;
        report.check_tickets(evidence);
        report.check_timers(evidence.executions, evidence.exact_clocks);
        report.count_commands(evidence.runs);
        report.check_leftovers(evidence, &snapshots).await?;
        Ok(report)
    }

    pub(super) fn add(&mut self, run: Option<&str>, kind: Kind, what: impl Into<String>) {
        self.findings.push(Finding { run: run.map(str::to_owned), violation: Violation::new(kind, what) });
    }

    fn check_run(&mut self, run: &str, started: Started, snapshot: &Snapshot, ended: Option<&Ended>) {
        *self.ended.entry(snapshot.status.as_str()).or_default() += 1;
        if !snapshot.status.is_terminal() {
            return self.add(Some(run), Stuck, format!("the run is {} at the end", snapshot.status));
        }
        let expected = Expected::of(started.input.frame());
        match Observed::of(snapshot) {
            Ok(observed) => self.add_all(run, check_run(&expected, &observed, started)),
            Err(what) => self.add(Some(run), Wrong, what),
        }
        self.check_result(run, snapshot, ended.map(|ended| &ended.result));
    }

    /// Checks what the journals of the hosts say of a run: what has begun, and when.
    fn check_executed(
        &mut self,
        evidence: &Evidence<'_>,
        run: &str,
        started: Started,
        snapshot: &Snapshot,
        executed: Option<&BTreeSet<&str>>,
    ) {
        let Ok(observed) = Observed::of(snapshot) else { return };
        let expected = Expected::of(started.input.frame());
        self.add_all(run, limits::check(&expected, &observed, evidence.exact_clocks));
        // The journals do not tell the runs of one id from each other.
        if let Some(executed) = executed.filter(|_| !started.input.lingers) {
            self.add_all(run, clean_up::check_executed(&expected, &observed.ledger.trail, executed));
        }
    }

    pub(super) fn add_all(&mut self, run: &str, violations: Vec<Violation>) {
        let finding = |violation| Finding { run: Some(run.to_owned()), violation };
        self.findings.extend(violations.into_iter().map(finding));
    }

    /// Checks what the starter of a run was told.
    pub(super) fn check_result(
        &mut self,
        run: &str,
        snapshot: &Snapshot,
        result: Option<&Result<DoneView, ClientError>>,
    ) {
        match result {
            Some(Ok(done)) if DoneView::new(snapshot).is_ok_and(|wanted| *done == wanted) => {}
            Some(Ok(done)) => {
                let what = format!("the published result is {done:?}, and the snapshot differs");
                self.add(Some(run), Wrong, what);
            }
            Some(Err(error)) => self.add(Some(run), Lost, format!("no result was published: {error}")),
            None => self.add(Some(run), Lost, "the starter did not wait for the result"),
        }
    }

    /// Checks that the times of a run are those of the server, in the order in which things happened.
    fn check_times(&mut self, run: &str, snapshot: &Snapshot, phase: &RangeInclusive<Timestamp>) {
        let last = snapshot.finished_at.unwrap_or(snapshot.updated_at);
        let times = [snapshot.started_at, last, snapshot.updated_at];
        if !times.is_sorted() || !times.iter().all(|time| phase.contains(time)) {
            let [started, last, updated] = times;
            let what = format!(
                "the run has the times {started} (start), {last} (end) and {updated} (last commit), and the phase \
                 lasted from {} to {}",
                phase.start(),
                phase.end()
            );
            self.add(Some(run), Wrong, what);
        }
    }

    /// Checks a child run. Its output is part of the digest of its parent, and is checked there.
    fn check_child(&mut self, run: &str, snapshot: &Snapshot) {
        self.children += 1;
        if !snapshot.status.is_terminal() {
            let what = format!("the child run is {}, but its parent has ended", snapshot.status);
            self.add(Some(run), Orphaned, what);
        }
        let Ok(observed) = Observed::of(snapshot) else {
            return self.add(Some(run), Wrong, "the snapshot of the child run cannot be read");
        };
        self.add_all(run, chain::check_record(&observed));
        for ledger in &observed.chain {
            let mut seen = BTreeSet::new();
            for entry in &ledger.trail {
                if !seen.insert(&entry.item) {
                    self.add(Some(run), Kind::Doubled, format!("item {:?} was committed twice", entry.item));
                }
            }
        }
    }

    /// Checks that no ticket was missing without a fault that removes tickets. Expired leases deliver a ticket again, so
    /// a sweep has nothing to find. There are four exceptions. The first ticket of a run is missing if the host was
    /// killed after the first snapshot. A step that waits for a child run holds no ticket. The items of a run that
    /// was resumed or cancelled have no tickets if the host was killed before it published them.
    fn check_tickets(&mut self, evidence: &Evidence<'_>) {
        if evidence.any_ticket_lost {
            return;
        }
        let ours = |items_without_ticket: &&ItemWithoutTicket| {
            items_without_ticket.certain
                && (items_without_ticket.item != "start" || evidence.is_calm)
                && items_without_ticket.node != "child"
                && !evidence.runs.had_tickets_removed(&items_without_ticket.run)
                && !evidence.runs.was_commanded(&items_without_ticket.run)
        };
        for items_without_ticket in evidence.items_without_ticket.iter().filter(ours) {
            let what = format!(
                "item {} of node {} had no ticket",
                items_without_ticket.item, items_without_ticket.node
            );
            self.add(Some(&items_without_ticket.run), ItemsWithoutTicket, what);
        }
    }
}

/// The snapshot of every run of the namespace, by name.
async fn all_snapshots(backend: &NatsBackend) -> Result<BTreeMap<String, Snapshot>, BackendError> {
    let mut snapshots = BTreeMap::new();
    let mut after = None;
    loop {
        let query = RunsQuery { limit: 500, after, ..RunsQuery::default() };
        let page = backend.runs(&query).await?;
        for stored in &page.runs {
            if let Ok((snapshot, _)) = Snapshot::open(&stored.bytes) {
                snapshots.insert(snapshot.key().to_string(), snapshot);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(snapshots);
        }
    }
}

/// The steps of each run that hosts have begun.
fn executed(executions: &[Execution]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut executed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for execution in executions {
        executed.entry(&execution.run).or_default().insert(&execution.step);
    }
    executed
}
