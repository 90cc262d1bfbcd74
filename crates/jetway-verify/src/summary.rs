//! The results of a verification in numbers.

use crate::{
    check::{Finding, Kind, Report, counters, wait_counters},
    failure::Failure,
    nemesis::Fault,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The results of a verification.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The seed of programs and faults.
    pub seed: u64,
    /// The duration in seconds.
    pub seconds: u64,
    /// The number of phases. Each has its own hosts and its own namespace.
    pub phases: u64,
    /// The number of runs that were started, without child runs.
    pub runs: u64,
    /// The number of these runs by their last status.
    pub ended: BTreeMap<&'static str, u64>,
    /// The number of child runs.
    pub children: u64,
    /// The number of committed steps, those of child runs included.
    pub steps: u64,
    /// The number of these steps that waited for a time.
    pub timers: u64,
    /// How often programs met each kind of wait, of command and of signal. All kinds are listed.
    pub counts: BTreeMap<&'static str, u64>,
    /// The number of executions of nodes. It exceeds the number of steps, because a lost step is executed again.
    pub executions: u64,
    /// The number of injected faults of each kind. All kinds are listed.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of missing tickets that a sweep has published again.
    pub republished: u64,
    /// How often run ids were used again, and in which way.
    pub used_ids: BTreeMap<&'static str, u64>,
    /// The number of violations of each kind.
    pub violations: BTreeMap<&'static str, u64>,
    /// The first run with a violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Summary {
    pub(crate) fn new(seed: u64) -> Self {
        let violations = Kind::ALL.map(|kind| (kind.as_str(), 0)).into();
        let faults = Fault::ALL.map(|fault| (fault.as_str(), 0)).into();
        Self { seed, violations, faults, counts: wait_counters(), used_ids: counters(), ..Self::default() }
    }

    /// Whether there is no violation.
    pub fn is_clean(&self) -> bool {
        self.violations.values().all(|count| *count == 0)
    }

    pub(crate) fn add(&mut self, report: &Report, faults: &BTreeMap<Fault, u64>) {
        self.phases += 1;
        for (status, count) in &report.ended {
            *self.ended.entry(status).or_default() += count;
        }
        self.runs += report.ended.values().sum::<u64>();
        self.children += report.children;
        self.steps += report.steps;
        self.timers += report.timers;
        for (what, times) in &report.counts {
            *self.counts.entry(what).or_default() += times;
        }
        for (fault, count) in faults {
            *self.faults.entry(fault.as_str()).or_default() += count;
        }
        for (how, times) in &report.used_ids {
            *self.used_ids.entry(how).or_default() += times;
        }
        for Finding { violation, .. } in &report.findings {
            *self.violations.entry(violation.kind.as_str()).or_default() += 1;
        }
    }
}
