//! What the verifier has found, in numbers.

use crate::{
    check::{Finding, Judged, Kind},
    nemesis::Fault,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a verification came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// What the programs and the faults were made from.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// How many acts there were: each with hosts and a namespace of its own.
    pub acts: u64,
    /// How many runs were started.
    pub runs: u64,
    /// How many of them ended as what.
    pub ended: BTreeMap<&'static str, u64>,
    /// How many child runs they started.
    pub children: u64,
    /// How many steps were committed.
    pub steps: u64,
    /// How many times a node was executed; more than the steps, since a step that is lost is executed again.
    pub executions: u64,
    /// How often each fault was made.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many items only a sweep found, after their tickets were lost.
    pub swept: u64,
    /// How many violations there are of each kind.
    pub violations: BTreeMap<&'static str, u64>,
    /// The first run that is not as it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One run that is not as it must be, with everything that is known of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Failure {
    /// The act, by name.
    pub act: String,
    /// The run, as `workflow/run_id`; none where what is wrong belongs to no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What is wrong, of this run and of others.
    pub violations: Vec<String>,
    /// Its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The executions of its nodes, in the order of time.
    pub trace: Vec<String>,
    /// What the hosts have logged of it lately, and of lost tickets, in the order of time.
    pub log: Vec<String>,
    /// How the hosts ended that were not told to.
    pub hosts: Vec<String>,
}

impl Summary {
    pub(crate) fn new(seed: u64) -> Self {
        let violations = Kind::ALL.map(|kind| (kind.as_str(), 0)).into();
        Self { seed, violations, ..Self::default() }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.values().all(|count| *count == 0)
    }

    pub(crate) fn add(&mut self, judged: &Judged, faults: &BTreeMap<Fault, u64>) {
        self.acts += 1;
        for (status, count) in &judged.ended {
            *self.ended.entry(status).or_default() += count;
        }
        self.runs += judged.ended.values().sum::<u64>();
        self.children += judged.children;
        self.steps += judged.steps;
        for (fault, count) in faults {
            *self.faults.entry(fault.as_str()).or_default() += count;
        }
        for Finding { violation, .. } in &judged.findings {
            *self.violations.entry(violation.kind.as_str()).or_default() += 1;
        }
    }
}
