//! Checks that nothing happens before its time.
//!
//! A node that waits writes into its frame before which time nothing may follow. Every node that gets a frame notes the time that
//! it sees, and that of its machine. There is no tolerance: the time of a host is never ahead of the server's, and no ticket of an
//! alarm arrives with a host whose time is behind the one at which the server stored it.

use super::{Finding, Kind::Early, Observed, Report, Violation};
use crate::{
    interpreter::{Entry, Execution},
    program::Wait,
};
use jetway::client::Status;

impl Report {
    /// Checks every execution of a node. `exact_clocks`: the machines of the hosts have the clock of the server.
    pub(super) fn check_timers(&mut self, executions: &[Execution], exact_clocks: bool) {
        self.findings
            .extend(executions.iter().filter_map(|execution| check_execution(execution, exact_clocks)));
    }
}

fn check_execution(execution: &Execution, exact_clocks: bool) -> Option<Finding> {
    let Execution { at, run, now, not_before, step, .. } = execution;
    // The machine's time is noted in whole milliseconds.
    let by_machine = (at + 1) * 1000;
    let (clock, time) = match exact_clocks {
        _ if now < not_before => ("the server", *now),
        true if by_machine <= *not_before => ("the machine", by_machine),
        _ => return None,
    };
    let what = format!(
        "step {step:?} ran at {time} by the clock of {clock}, {} us before it was due",
        not_before - time
    );
    Some(Finding { run: Some(run.clone()), violation: Violation::new(Early, what) })
}

/// Checks that a run did not end before its last output was due. In a run that is cancelled, or past its deadline, nothing waits any more:
/// the output of a step that was under way is recorded at once.
pub(super) fn check_end(observed: &Observed) -> Option<Violation> {
    if observed.status == Status::Cancelled || observed.is_past_deadline() {
        return None;
    }
    let due = observed.outputs.iter().map(|output| output.not_before / 1000).max()?;
    let finished = observed.finished_at?.0;
    let what = || format!("the run ended {} ms before its output was due", due - finished);
    (finished < due).then(|| Violation::new(Early, what()))
}

/// The number of committed steps that waited.
pub(super) fn count(trail: &[Entry]) -> u64 {
    let name = Wait::After(1).step();
    let waits = |entry: &&Entry| entry.step.split(' ').next() == Some(name);
    trail.iter().filter(waits).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{interpreter::PlainLedger, program::BranchOutput};
    use jetway::Timestamp;

    fn execution(at: u64, now: u64, not_before: u64) -> Execution {
        Execution {
            at,
            run: "w/r".to_owned(),
            item: "start".to_owned(),
            attempt: 1,
            key: "k".to_owned(),
            mark: 1,
            now,
            not_before,
            step: "work 1".to_owned(),
        }
    }

    #[test]
    fn a_step_that_runs_too_early_is_found() {
        let early = |at, now, exact| check_execution(&execution(at, now, 7_500), exact).is_some();
        assert!(!early(7, 7_500, true) && !early(90, 7_501, true));
        assert!(early(90, 7_499, true) && early(90, 7_499, false));
        assert!(early(6, 7_500, true), "the time that the node saw was ahead");
        assert!(!early(6, 7_500, false));
        assert!(check_execution(&execution(0, 0, 0), true).is_none());
    }

    #[test]
    fn a_run_that_ends_too_early_is_found() {
        let output = |not_before| BranchOutput { not_before, ..BranchOutput::of_empty_join() };
        let ended = |status, at, outputs: &[BranchOutput]| Observed {
            finished_at: Some(Timestamp(at)),
            outputs: outputs.to_vec(),
            ..Observed::with(status, PlainLedger::default())
        };
        let outputs = [output(0), output(7_900), output(3_000)];
        for status in [Status::Completed, Status::Failed] {
            assert!(check_end(&ended(status, 6, &outputs)).is_some());
            assert!(check_end(&ended(status, 7, &outputs)).is_none());
            assert!(check_end(&ended(status, 0, &[])).is_none());
        }
        // A step was under way when the run was cancelled, or at its deadline.
        assert!(check_end(&ended(Status::Cancelled, 6, &outputs)).is_none());
        let error_kind = Some("deadline".to_owned());
        assert!(check_end(&Observed { error_kind, ..ended(Status::Failed, 6, &outputs) }).is_none());
    }

    #[test]
    fn waits_are_counted() {
        let entry = |step: &str| Entry { step: step.to_owned(), item: "i".to_owned(), mark: 1 };
        assert_eq!(count(&[entry("next 0"), entry("doze 1"), entry("pass 2"), entry("doze 0/1.2")]), 2);
    }
}
