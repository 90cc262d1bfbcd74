//! Checks that runs with the same id have nothing of each other.

use super::{
    Finding,
    Kind::{EarlierRun, Lost, Wrong},
    Observed, Report, Violation, check_run, check_steps,
    report::Evidence,
    timers,
};
use crate::{
    interpreter::Execution,
    program::incarnation_of,
    reference_model::Expected,
    replaced::{Progress, Replaced, name_of},
    runs::Started,
};
use jetway::{RunKey, client::DoneView};
use jetway_engine::backend::{BackendError, Results as _};
use jetway_nats::faults::Removal;
use jetway_state::run::{Snapshot, WantedResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The dead letters of starts that came when another run had the id: those that a host had when it was killed or paused.
pub(super) const REFUSED: &str = "interpreter.other-input";

/// The name of their number in a summary.
pub(super) const LATE_STARTS_REFUSED: &str = "late starts refused";

/// The name of the number of the others, whose runs were removed again.
const LATE_STARTS: &str = "late starts of earlier runs";

/// The counters of a phase with used ids, all zero.
pub(crate) fn counters() -> BTreeMap<&'static str, u64> {
    let progress = Progress::ALL.map(Progress::as_str);
    let removals = [Removal::Deleted, Removal::Purged, Removal::Expired].map(name_of);
    let names = progress.into_iter().chain(removals).chain([LATE_STARTS, LATE_STARTS_REFUSED]);
    names.map(|name| (name, 0)).collect()
}

impl Report {
    /// Checks the runs whose ids were used again, and the last runs with these ids.
    pub(super) async fn check_used_ids(
        &mut self,
        evidence: &Evidence<'_>,
        snapshots: &BTreeMap<String, Snapshot>,
    ) -> Result<(), BackendError> {
        self.findings.extend(check_keys(evidence.executions));
        let ids: BTreeSet<RunKey> = evidence.runs.with_replaced(|replaced| {
            if !replaced.is_empty() {
                self.used_ids = counters();
            }
            for replaced in replaced {
                self.check_replaced(replaced);
            }
            replaced.iter().map(|replaced| replaced.run.clone()).collect()
        });
        if ids.is_empty() {
            return Ok(());
        }
        self.used_ids.insert(LATE_STARTS, evidence.runs.late_starts());
        let marks =
            evidence.runs.started().into_iter().map(|(run, started)| (run, started.input.mark)).collect();
        for (run, snapshot) in snapshots {
            if let Ok(violations) = check_child_marks(snapshot, snapshots, &marks) {
                self.add_all(run, violations);
            }
        }
        for run in &ids {
            self.check_told_last(evidence, run, snapshots.get(&run.to_string())).await?;
        }
        Ok(())
    }

    fn check_replaced(&mut self, replaced: &Replaced) {
        let Replaced { run, input, cancelled, progress, removal, snapshot, result } = replaced;
        let run = run.to_string();
        for name in [progress.as_str(), name_of(*removal)] {
            *self.used_ids.entry(name).or_default() += 1;
        }
        let Some(snapshot) = snapshot else {
            return self.add(Some(&run), Lost, "the record was gone before it was removed");
        };
        *self.ended.entry(snapshot.status.as_str()).or_default() += 1;
        // Nobody disarms the alarm of a clean-up whose record is removed. It may have been written since it was read.
        self.forgotten_alarms += u64::from(*cancelled);
        self.steps += snapshot.steps;
        let expected = Expected::of(input.frame());
        match Observed::of(snapshot) {
            Ok(observed) => {
                self.timers += timers::count(&observed.ledger.trail);
                self.count_steps(&observed.ledger);
                let started = Started {
                    input: *input,
                    acknowledged: true,
                    cancelled: *cancelled,
                    terminated: false,
                    stopped: false,
                };
                self.add_all(
                    &run,
                    match snapshot.status.is_terminal() {
                        true => check_run(&expected, &observed, started),
                        false => check_steps(&expected, &observed),
                    },
                );
            }
            Err(what) => self.add(Some(&run), Wrong, what),
        }
        if result.is_some() {
            self.check_result(&run, snapshot, result.as_ref());
        }
    }

    /// Checks that the stored result is that of the last run with this id.
    async fn check_told_last(
        &mut self,
        evidence: &Evidence<'_>,
        run: &RunKey,
        snapshot: Option<&Snapshot>,
    ) -> Result<(), BackendError> {
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.status.is_terminal()) else { return Ok(()) };
        let name = run.to_string();
        let Some(result) = evidence.backend.done(run, WantedResult::Latest, Duration::ZERO).await? else {
            self.add(Some(&name), EarlierRun, "the stored result is not that of the last run with this id");
            return Ok(());
        };
        match serde_json::from_slice::<DoneView>(&result) {
            Ok(done) if done.incarnation == snapshot.chain_id() && done.status == snapshot.status => {}
            Ok(done) => {
                let (is, must) = (done.incarnation, snapshot.chain_id());
                let what = format!("the stored result is that of the start {is}, and the last one is {must}");
                self.add(Some(&name), EarlierRun, what);
            }
            Err(error) => self.add(Some(&name), Wrong, format!("the stored result cannot be read: {error}")),
        }
        Ok(())
    }
}

/// Checks that no two runs, and no two incarnations of one run, have seen the same idempotency key.
fn check_keys(executions: &[Execution]) -> Vec<Finding> {
    let mut seen: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    let mut found = Vec::new();
    for Execution { run, key, mark, step, .. } in executions.iter().filter(|execution| execution.mark != 0) {
        let number = incarnation_of(step);
        let first = *seen.entry(key).or_insert((*mark, number));
        if first != (*mark, number) {
            let (first, former) = first;
            let what = format!(
                "step {step:?} of the run {mark:x} has the idempotency key {key:?} of incarnation {former} of the \
                 run {first:x}"
            );
            found.push(Finding { run: Some(run.clone()), violation: Violation::new(EarlierRun, what) });
        }
    }
    found
}

/// Checks that all steps of a child run belong to one run, which is that of its parent if the parent is still there.
fn check_child_marks(
    child: &Snapshot,
    snapshots: &BTreeMap<String, Snapshot>,
    marks: &BTreeMap<String, u64>,
) -> Result<Vec<Violation>, String> {
    let Some(parent) = &child.parent else { return Ok(Vec::new()) };
    let name = parent.run.to_string();
    let is_there = snapshots.get(&name).is_some_and(|of| of.incarnation == parent.incarnation);
    let of_parent = marks.get(&name).copied().filter(|_| is_there);
    let trail = Observed::of(child)?.ledger.trail;
    let mut seen: BTreeSet<u64> = trail.iter().map(|entry| entry.mark).filter(|mark| *mark != 0).collect();
    seen.extend(of_parent);
    let what = format!("the child run and its parent {name} have the marks {seen:x?}, expected one");
    Ok(if seen.len() > 1 { vec![Violation::new(EarlierRun, what)] } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(key: &str, mark: u64) -> Execution {
        Execution {
            at: 0,
            run: "w/r".to_owned(),
            item: "start".to_owned(),
            attempt: 1,
            key: key.to_owned(),
            mark,
            now: 0,
            not_before: 0,
            step: "next 0".to_owned(),
        }
    }

    #[test]
    fn h3_a_key_that_two_runs_have_seen_is_found() {
        let [again, other] = [execution("a", 1), execution("b", 2)];
        let without_frame = execution("a", 0);
        assert!(check_keys(&[execution("a", 1), again, other, without_frame]).is_empty());
        let found = check_keys(&[execution("a", 1), execution("b", 1), execution("a", 2)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].violation.kind, EarlierRun);
        let later = Execution { step: "next 1:0".to_owned(), ..execution("a", 1) };
        assert_eq!(check_keys(&[execution("a", 1), later]).len(), 1);
    }

    #[test]
    fn the_counters_begin_with_zero() {
        let counters = counters();
        assert_eq!((counters.len(), counters.values().sum::<u64>()), (8, 0));
    }
}
