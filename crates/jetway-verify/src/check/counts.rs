//! Counts what the programs of a phase have met, of each kind. A kind that is never met is a zero in the summary, and is seen.

use super::{Report, order::is_clean_up, signals};
use crate::{
    interpreter::{PlainLedger, UNDO},
    program::Limit,
    runs::{Runs, Started},
};
use jetway::client::Status;
use jetway_state::run::{CancelReason, Snapshot};
use std::collections::BTreeMap;

const SIGNALS_TAKEN: &str = "signals taken";
const DEADLINES: &str = "deadlines of signals passed";
const CLEAN_UPS: &str = "items cleaned up";
const CANCELLED_AT_ONCE: &str = "runs cancelled with nothing to clean up";
const CANCELLED: &str = "runs cancelled with clean-up";
const TERMINATED: &str = "runs terminated";
const PAUSED: &str = "runs paused and resumed";
const HANDLED: &str = "failures handled";
const DEADLINE_PASSED: &str = "deadlines of runs passed";
const CONTINUED: &str = "runs continued as new";
const CONTINUED_AND_STOPPED: &str = "runs stopped after they continued as new";
const INCARNATIONS: &str = "incarnations after the first";

/// The kinds of steps that wait, by the begin of their names.
const WAITS: [(&str, &str); 6] = [
    ("doze ", "waits for a time"),
    ("listen-one ", "waits for a signal"),
    ("listen-first ", "waits for the first of several signals"),
    ("listen-all ", "waits for all of several signals"),
    ("flaky ", "waits for a retry"),
    ("child_", "waits for a child run"),
];

/// All counters, zero.
pub(crate) fn counters() -> BTreeMap<&'static str, u64> {
    let others = [
        SIGNALS_TAKEN,
        DEADLINES,
        CLEAN_UPS,
        CANCELLED_AT_ONCE,
        CANCELLED,
        TERMINATED,
        PAUSED,
        HANDLED,
        DEADLINE_PASSED,
        CONTINUED,
        CONTINUED_AND_STOPPED,
        INCARNATIONS,
    ];
    let names = WAITS.into_iter().map(|(_, name)| name).chain(Limit::ALL.map(Limit::exceeded));
    names.chain(others).chain(signals::counters()).map(|name| (name, 0)).collect()
}

impl Report {
    pub(super) fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// Counts the steps of a run.
    pub(super) fn count_steps(&mut self, ledger: &PlainLedger) {
        for entry in &ledger.trail {
            let kind = WAITS.iter().find(|(prefix, _)| entry.step.starts_with(prefix));
            if let Some((_, name)) = kind {
                self.count(name, 1);
            }
            if entry.step.starts_with("rescue ") {
                self.count(HANDLED, 1);
            }
            if is_clean_up(entry) && entry.step.starts_with(UNDO) {
                self.count(CLEAN_UPS, 1);
            }
        }
        for answer in &ledger.answers {
            match &answer.signals {
                Some(signals) => self.count(SIGNALS_TAKEN, signals.len() as u64),
                None => self.count(DEADLINES, 1),
            }
        }
        for late in &ledger.late {
            self.count(late.limit.exceeded(), 1);
        }
    }

    /// Counts how often a run has continued as new, and whether it ended for its deadline.
    pub(super) fn count_chain(&mut self, snapshot: &Snapshot) {
        let is_stopped = matches!(snapshot.status, Status::Cancelling | Status::Cancelled);
        let is_late = snapshot.deadline.is_some() && snapshot.status == Status::Failed;
        let times = u64::from(snapshot.continued);
        self.count(INCARNATIONS, times);
        self.count(CONTINUED, times.min(1));
        self.count(CONTINUED_AND_STOPPED, if is_stopped { times.min(1) } else { 0 });
        let kind = snapshot.error.as_ref().map(|error| error.kind.as_str());
        self.count(DEADLINE_PASSED, u64::from(is_late && kind == Some("deadline")));
    }

    /// Counts how a run was cancelled.
    pub(super) fn count_cancel(&mut self, snapshot: &Snapshot, cleaned_up: bool) {
        if snapshot.status != Status::Cancelled {
            return;
        }
        let is_terminated =
            snapshot.cancel.as_ref().is_some_and(|cancel| cancel.reason == CancelReason::Terminated);
        self.count(
            match cleaned_up {
                _ if is_terminated => TERMINATED,
                true => CANCELLED,
                false => CANCELLED_AT_ONCE,
            },
            1,
        );
    }

    /// Counts the commands that leave nothing in the record.
    pub(super) fn count_commands(&mut self, runs: &Runs) {
        self.count(PAUSED, runs.paused_count());
    }
}

impl Started {
    /// Whether the run may end as cancelled, for this reason.
    pub(super) fn may_end_for(&self, reason: Option<CancelReason>) -> bool {
        match reason {
            Some(CancelReason::Requested) => self.cancelled,
            Some(CancelReason::Terminated) => self.terminated,
            Some(CancelReason::CleanUpTimeout | CancelReason::Deadline) | None => false,
        }
    }
}
