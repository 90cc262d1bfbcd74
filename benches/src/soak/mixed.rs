//! A workflow with something of everything: a fan-out with a join, a context that changes, large values, failures.

use jetway::{
    Error, Transition,
    merge::{Counter, Register},
    node, workflow,
};
use serde::{Deserialize, Serialize};

/// What a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    branches: u32,
    ballast: String,
    fails: bool,
}

impl Job {
    /// The job of the run of that number.
    pub(crate) fn of(number: u64) -> Self {
        Self {
            branches: if number.is_multiple_of(10) { 20 } else { 1 },
            ballast: "x".repeat(if number.is_multiple_of(4) { 4096 } else { 64 }),
            fails: number % 20 == 7,
        }
    }

    /// Whether its run is to fail.
    pub(crate) fn fails(&self) -> bool {
        self.fails
    }

    /// What its run puts out: how many steps counted themselves in the context, the last included.
    pub(crate) fn output(&self) -> i64 {
        i64::from(self.branches) + 5
    }
}

/// What the nodes of a run share.
#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
pub(crate) struct Shared {
    steps: Counter,
    latest: Register<String>,
}

node! {
    /// Opens the branches.
    pub(crate) struct Scatter {};
    context = Shared; input = Job; output = Job;
    |ctx, job| {
        ctx.steps.increment();
        Ok(Transition::NextAll(vec![job.clone(); job.branches as usize]))
    }
}

node! {
    /// One branch.
    pub(crate) struct Visit {};
    context = Shared; input = Job; output = Job;
    |ctx, job| {
        ctx.steps.increment();
        if job.fails {
            return Err(Error::Generic("as told".to_owned()));
        }
        Ok(Transition::Next(job))
    }
}

node! {
    /// Goes on once all branches have arrived.
    pub(crate) struct Gather {};
    context = Shared; input = Vec<Job>; output = String;
    |ctx, jobs| {
        ctx.steps.increment();
        Ok(Transition::Next(jobs.into_iter().map(|job| job.ballast).next().unwrap_or_default()))
    }
}

node! {
    /// One step of the chain.
    pub(crate) struct Pass {};
    context = Shared; input = String; output = String;
    |ctx, ballast| {
        ctx.steps.increment();
        ctx.latest.set(ballast.clone());
        Ok(Transition::Next(ballast))
    }
}

node! {
    /// Puts out how many steps there were.
    pub(crate) struct Count {};
    context = Shared; input = String; output = i64;
    |ctx, _ballast| { Ok(Transition::Next(ctx.steps.increment())) }
}

workflow! {
    /// Everything.
    pub(crate) struct Mixed {
        scatter: Scatter,
        visit: Visit,
        #[gather]
        gather: Gather,
        one: Pass,
        two: Pass,
        count: Count,
    }
    name = "mixed";
    start = scatter;
    context = Shared;
    edges {
        scatter => [visit];
        visit => [gather];
        gather => [one];
        one => [two];
        two => [count];
        count => {};
    }
}

impl Mixed {
    pub(crate) fn new() -> Self {
        Self {
            scatter: Scatter {},
            visit: Visit {},
            gather: Gather {},
            one: Pass {},
            two: Pass {},
            count: Count {},
        }
    }
}
