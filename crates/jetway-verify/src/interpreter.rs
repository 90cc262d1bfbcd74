//! The workflows that execute programs, and their context.

mod journal;
mod ledger;
mod nodes;

pub use journal::{Execution, Journal};
#[cfg(feature = "defects")]
pub(crate) use ledger::merge_instead_of_rebase;
pub use ledger::{Comparable, Entry, Fields, Ledger, PlainLedger};

use crate::program::{BranchOutput, NextStep};
use jetway::{BackoffStrategy, ChildRun, RetryError, RetryPolicy, workflow};
use nodes::{
    Again, Bounded, ChildCompleted, ChildFailed, Doomed, Doze, Fan, Flaky, Held, Join, Joined, Left, Next,
    NoChild, Rescue, Right, Risky, Round, Slow, Work,
};
use std::time::Duration;

workflow! {
    /// Executes a program.
    pub struct Interpreter {
        next: Next,
        work: Work,
        #[at_most = 2]
        bounded: Bounded,
        #[retry = policy]
        flaky: Flaky,
        policy: RetryPolicy,
        slow: Slow,
        again: Again,
        risky: Risky,
        rescue: Rescue,
        doomed: Doomed,
        fan: Fan,
        left: Left,
        #[at_most = 2]
        right: Right,
        doze: Doze,
        #[gather]
        join: Join,
        held: Held,
        child: ChildRun<Ledger, ChildInterpreter>,
        child_completed: ChildCompleted,
        child_failed: ChildFailed,
    }
    name = "interpreter";
    context = Ledger;
    output = BranchOutput;
    start = next;
    edges {
        next => {
            NextStep::Work(frame, changes) => [work];
            NextStep::Bounded(frame) => [bounded];
            NextStep::Flaky(frame) => [flaky];
            NextStep::Slow(frame, millis) => [slow];
            NextStep::Again(frame, times) => [again];
            NextStep::Caught(frame, fault) => [risky];
            NextStep::Uncaught(frame, fault) => [doomed];
            NextStep::Fan(frame, branches, join) => [fan];
            NextStep::Split(frame, branches) => [left, right];
            NextStep::Wait(frame, wait) => [doze];
            NextStep::Child(frame) => [child];
            NextStep::Arrive(frame) => [join];
            NextStep::Hold(frame) => [held];
            NextStep::Done(output) => [];
        };
        work => [next];
        bounded => [next];
        flaky => [next];
        slow => [next];
        again => { Round::Again(frame, times) => [again]; Round::Leave(frame) => [next]; };
        risky => [next];
        risky on_failure => [rescue];
        rescue => [next];
        doomed => [next];
        fan => [next];
        doze => {
            NextStep::Work(frame, changes) => [work];
            NextStep::Bounded(frame) => [bounded];
            NextStep::Flaky(frame) => [flaky];
            NextStep::Slow(frame, millis) => [slow];
            NextStep::Again(frame, times) => [again];
            NextStep::Caught(frame, fault) => [risky];
            NextStep::Uncaught(frame, fault) => [doomed];
            NextStep::Fan(frame, branches, join) => [fan];
            NextStep::Split(frame, branches) => [left, right];
            NextStep::Wait(frame, wait) => [doze];
            NextStep::Child(frame) => [child];
            NextStep::Arrive(frame) => [join];
            NextStep::Hold(frame) => [held];
            NextStep::Done(output) => [];
        };
        left => [next];
        right => [next];
        join => { Joined::Next(frame) => [next]; Joined::Empty(output) => []; };
        held => [next];
        child => [child_completed];
        child on_failure => [child_failed];
        child_completed => [next];
        child_failed => [next];
    }
}

workflow! {
    /// Executes the program of a child run, which starts no child runs.
    pub struct ChildInterpreter {
        next: Next,
        work: Work,
        #[at_most = 2]
        bounded: Bounded,
        #[retry = policy]
        flaky: Flaky,
        policy: RetryPolicy,
        slow: Slow,
        again: Again,
        risky: Risky,
        rescue: Rescue,
        doomed: Doomed,
        fan: Fan,
        left: Left,
        #[at_most = 2]
        right: Right,
        doze: Doze,
        #[gather]
        join: Join,
        held: Held,
        no_child: NoChild,
    }
    name = "child-interpreter";
    context = Ledger;
    output = BranchOutput;
    start = next;
    edges {
        next => {
            NextStep::Work(frame, changes) => [work];
            NextStep::Bounded(frame) => [bounded];
            NextStep::Flaky(frame) => [flaky];
            NextStep::Slow(frame, millis) => [slow];
            NextStep::Again(frame, times) => [again];
            NextStep::Caught(frame, fault) => [risky];
            NextStep::Uncaught(frame, fault) => [doomed];
            NextStep::Fan(frame, branches, join) => [fan];
            NextStep::Split(frame, branches) => [left, right];
            NextStep::Wait(frame, wait) => [doze];
            NextStep::Child(frame) => [no_child];
            NextStep::Arrive(frame) => [join];
            NextStep::Hold(frame) => [held];
            NextStep::Done(output) => [];
        };
        work => [next];
        bounded => [next];
        flaky => [next];
        slow => [next];
        again => { Round::Again(frame, times) => [again]; Round::Leave(frame) => [next]; };
        risky => [next];
        risky on_failure => [rescue];
        rescue => [next];
        doomed => [next];
        fan => [next];
        doze => {
            NextStep::Work(frame, changes) => [work];
            NextStep::Bounded(frame) => [bounded];
            NextStep::Flaky(frame) => [flaky];
            NextStep::Slow(frame, millis) => [slow];
            NextStep::Again(frame, times) => [again];
            NextStep::Caught(frame, fault) => [risky];
            NextStep::Uncaught(frame, fault) => [doomed];
            NextStep::Fan(frame, branches, join) => [fan];
            NextStep::Split(frame, branches) => [left, right];
            NextStep::Wait(frame, wait) => [doze];
            NextStep::Child(frame) => [no_child];
            NextStep::Arrive(frame) => [join];
            NextStep::Hold(frame) => [held];
            NextStep::Done(output) => [];
        };
        left => [next];
        right => [next];
        join => { Joined::Next(frame) => [next]; Joined::Empty(output) => []; };
        held => [next];
        no_child => [next];
    }
}

impl Interpreter {
    /// The workflow.
    pub fn new() -> Self {
        Self {
            next: Next,
            work: Work,
            bounded: Bounded,
            flaky: Flaky::default(),
            policy: retry_policy(),
            slow: Slow,
            again: Again,
            risky: Risky,
            rescue: Rescue,
            doomed: Doomed,
            fan: Fan,
            left: Left,
            right: Right,
            doze: Doze,
            join: Join,
            held: Held,
            child: ChildRun::new(ChildInterpreter::new()),
            child_completed: ChildCompleted,
            child_failed: ChildFailed,
        }
    }
}

impl ChildInterpreter {
    /// The workflow.
    pub fn new() -> Self {
        Self {
            next: Next,
            work: Work,
            bounded: Bounded,
            flaky: Flaky::default(),
            policy: retry_policy(),
            slow: Slow,
            again: Again,
            risky: Risky,
            rescue: Rescue,
            doomed: Doomed,
            fan: Fan,
            left: Left,
            right: Right,
            doze: Doze,
            join: Join,
            held: Held,
            no_child: NoChild,
        }
    }
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for ChildInterpreter {
    fn default() -> Self {
        Self::new()
    }
}

fn retry_policy() -> RetryPolicy {
    let pause = Duration::from_millis(1);
    RetryPolicy::new(3, pause, pause, BackoffStrategy::Linear, RetryError::All)
}
