//! Which runs the sweep checks, and when.

use jetway_state::{RunKey, Seen, StoreId, Timestamp};
use std::{collections::BTreeMap, time::Duration};

/// The longest time between two checks of a run: it doubles each time up to this.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// What is looked at in turn has one turn in so many sweeps: an idle host sends little.
const SWEEPS_EACH: usize = 3;

/// How many runs one sweep checks, at most: the next sweep checks the others.
const MAX_RUNS: usize = 100_000;

/// The memory of a sweeper between its sweeps.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// The store of the revisions.
    store: StoreId,
    /// Everything that was written up to this revision was scanned.
    pub(super) scanned: u64,
    /// All alarms that were due before have rung.
    pub(super) rung_until: Option<Timestamp>,
    /// The runs to check again, and when.
    checks: BTreeMap<RunKey, PendingCheck>,
    /// Tickets may be lost, also those of runs that are being written.
    pub(super) suspected: Option<SuspectedLoss>,
    /// When to scan the runs that are being written too; `None` before the first sweep.
    full_scan_at: Option<Timestamp>,
    /// Whose turn is next, of what is looked at in turn.
    turn: usize,
}

/// When tickets may have been lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SuspectedLoss {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

/// A run to check.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingCheck {
    /// The effects of its end may be open, if it ended before this time. `None` for a run that has not ended.
    pub(super) ended: Option<Timestamp>,
    /// At another revision the run was written, and needs no check. `None`: it needs one at any revision.
    pub(super) revision: Option<u64>,
    /// The record that the scan has found.
    pub(super) seen: Seen,
    /// When the record was last written again, because its result cannot be stored.
    pub(super) kept_at: Option<Timestamp>,
    pub(super) due: Timestamp,
    pub(super) pause: Duration,
}

impl PendingCheck {
    /// A check of a run that ended before a moment.
    pub(super) fn ended(before: Timestamp, seen: Seen, due: Timestamp, pause: Duration) -> Self {
        Self { ended: Some(before), revision: None, seen, kept_at: None, due, pause }
    }

    /// A check of a run that has not ended. `only_stale`: it needs none if it is written meanwhile.
    pub(super) fn live(seen: Seen, only_stale: bool, now: Timestamp, pause: Duration) -> Self {
        let revision = only_stale.then_some(seen.revision);
        Self { ended: None, revision, seen, kept_at: None, due: now, pause }
    }

    /// The same check, later: the pause doubles.
    pub(super) fn postponed(self, now: Timestamp) -> Self {
        let pause = (self.pause * 2).min(MAX_PAUSE);
        Self { due: now.after(pause), pause, ..self }
    }

    /// The same check, not before a time.
    pub(super) fn not_before(self, time: Option<Timestamp>) -> Self {
        Self { due: self.due.max(time.unwrap_or_default()), ..self }
    }
}

impl Sweeper {
    /// The revisions of now are those of this store. If it was made anew, they start again, and the runs of the earlier one are
    /// gone.
    pub(super) fn use_store(&mut self, store: StoreId) {
        if self.store != store {
            *self =
                Self { store, suspected: self.suspected, full_scan_at: self.full_scan_at, ..Self::default() };
        }
    }

    /// Reports that tickets may be lost that were published or acked from `since` to `now`. The next sweep checks all runs,
    /// also those that were written recently.
    pub fn suspect_loss(&mut self, since: Timestamp, now: Timestamp) {
        let since = self.suspected.map_or(since, |known| known.since.min(since));
        self.suspected = Some(SuspectedLoss { since, until: now });
        for check in self.checks.values_mut() {
            *check = PendingCheck { revision: None, due: Timestamp(0), ..*check };
        }
    }

    /// Those to look at in this sweep: all if tickets may be lost, and before the first sweep; otherwise the next one, in every third
    /// sweep.
    pub(super) fn in_turn<T>(&mut self, all: Vec<T>) -> Vec<T> {
        if self.suspected.is_some() || self.full_scan_at.is_none() {
            return all;
        }
        self.turn = (self.turn + 1) % (all.len() * SWEEPS_EACH).max(1);
        if !self.turn.is_multiple_of(SWEEPS_EACH) {
            return Vec::new();
        }
        all.into_iter().skip(self.turn / SWEEPS_EACH).take(1).collect()
    }

    /// Whether to scan the runs that are being written too: one branch may have lost its ticket while the others are
    /// committed all the time.
    pub(super) fn full_scan_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.full_scan_at.is_some_and(|due| due <= now);
        if is_due || self.full_scan_at.is_none() {
            self.full_scan_at = Some(now.after(MAX_PAUSE.mul_f64(rand::random_range(0.8..1.0))));
        }
        is_due
    }

    /// Adds a check, in the place of an earlier one.
    pub(super) fn add(&mut self, run: RunKey, check: PendingCheck) {
        let kept_at = check.kept_at.or_else(|| self.checks.get(&run)?.kept_at);
        self.checks.insert(run, PendingCheck { kept_at, ..check });
    }

    /// Adds a check of a run that has none.
    pub(super) fn add_unless_pending(&mut self, run: RunKey, check: PendingCheck) {
        self.checks.entry(run).or_insert(check);
    }

    pub(super) fn remove(&mut self, run: &RunKey) {
        self.checks.remove(run);
    }

    /// The runs that are due, the longest overdue first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(RunKey, PendingCheck)> {
        let due = self.checks.iter().filter(|(_, check)| check.due <= now);
        let mut due: Vec<_> = due.map(|(run, check)| (run.clone(), *check)).collect();
        due.sort_by_key(|(_, check)| check.due);
        due.truncate(MAX_RUNS);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{RunId, WorkflowName};

    #[test]
    fn all_runs_are_scanned_every_ten_minutes() {
        let mut sweeper = Sweeper::default();
        let minute = 60_000;
        let scans: Vec<_> =
            (0..100).filter(|minutes| sweeper.full_scan_due(Timestamp((minutes + 1) * minute))).collect();
        assert!((9..=12).contains(&scans.len()), "{scans:?}");
        assert!(scans[0] >= 8, "not at once: {scans:?}");
        assert!(scans.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{scans:?}");
    }

    #[test]
    fn each_has_its_turn_and_all_are_looked_at_in_doubt() {
        let (all, mut sweeper) = (["a", "b", "c"], Sweeper::default());
        assert_eq!(sweeper.in_turn(all.to_vec()), all);
        assert!(!sweeper.full_scan_due(Timestamp(1)));
        let mut seen: Vec<_> = (0..3 * SWEEPS_EACH).flat_map(|_| sweeper.in_turn(all.to_vec())).collect();
        seen.sort_unstable();
        assert_eq!(seen, all);
        sweeper.suspect_loss(Timestamp(1), Timestamp(2));
        assert_eq!(sweeper.in_turn(all.to_vec()), all);
        assert_eq!(sweeper.in_turn(Vec::<&str>::new()), Vec::<&str>::new());
    }

    #[test]
    fn no_run_delays_another_one_forever() {
        let run = |workflow: &str, number: usize| {
            RunKey::new(WorkflowName::new(workflow).unwrap(), RunId::new(&format!("r{number}")).unwrap())
        };
        let check = |due| PendingCheck::live(Seen::default(), false, Timestamp(due), Duration::ZERO);
        let mut sweeper = Sweeper::default();
        for number in 0..MAX_RUNS * 2 {
            sweeper.add(run("a", number), check(20));
        }
        sweeper.add(run("z", 0), check(10));
        sweeper.add(run("z", 1), check(31));
        let due = sweeper.due(Timestamp(30));
        assert_eq!((due.len(), &due[0].0), (MAX_RUNS, &run("z", 0)));
        assert!(!due.iter().any(|(found, _)| *found == run("z", 1)));
        sweeper.suspect_loss(Timestamp(7), Timestamp(30));
        sweeper.suspect_loss(Timestamp(9), Timestamp(30));
        assert_eq!(sweeper.suspected.map(|loss| loss.since), Some(Timestamp(7)));
        assert!(sweeper.due(Timestamp(0)).len() == MAX_RUNS);
    }
}
