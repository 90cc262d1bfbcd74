//! The workflows that run programs, and the context that they share.

mod journal;
mod ledger;
mod nodes;

pub use journal::{Execution, Journal};
pub use ledger::{Comparable, Entry, Ledger, PlainLedger};

use crate::program::{Closing, Turn};
use jetway::{BackoffStrategy, ChildRun, RetryError, RetryPolicy, workflow};
use nodes::{
    Adopt, Again, Bereft, Doomed, Fan, Held, Join, Joined, Linger, Narrow, Next, NoChild, Rescue, Risky,
    Round, Shaky, Work,
};
use std::time::Duration;

workflow! {
    /// Runs a program.
    pub struct Play {
        next: Next,
        work: Work,
        #[at_most = 2]
        narrow: Narrow,
        #[retry = patience]
        shaky: Shaky,
        patience: RetryPolicy,
        linger: Linger,
        again: Again,
        risky: Risky,
        rescue: Rescue,
        doomed: Doomed,
        fan: Fan,
        #[gather]
        join: Join,
        held: Held,
        child: ChildRun<Ledger, Minor>,
        adopt: Adopt,
        bereft: Bereft,
    }
    name = "play";
    context = Ledger;
    output = Closing;
    start = next;
    edges {
        next => {
            Turn::Work(frame, touches) => [work];
            Turn::Narrow(frame) => [narrow];
            Turn::Shaky(frame) => [shaky];
            Turn::Linger(frame, millis) => [linger];
            Turn::Again(frame, times) => [again];
            Turn::Caught(frame, fault) => [risky];
            Turn::Uncaught(frame, fault) => [doomed];
            Turn::Fan(frame, branches, join) => [fan];
            Turn::Child(frame) => [child];
            Turn::Arrive(frame) => [join];
            Turn::Hold(frame) => [held];
            Turn::Done(closing) => [];
        };
        work => [next];
        narrow => [next];
        shaky => [next];
        linger => [next];
        again => { Round::Again(frame, times) => [again]; Round::On(frame) => [next]; };
        risky => [next];
        risky on_failure => [rescue];
        rescue => [next];
        doomed => [next];
        fan => [next];
        join => { Joined::On(frame) => [next]; Joined::Nothing(closing) => []; };
        held => [next];
        child => [adopt];
        child on_failure => [bereft];
        adopt => [next];
        bereft => [next];
    }
}

workflow! {
    /// Runs a program that starts no runs: that of a child.
    pub struct Minor {
        next: Next,
        work: Work,
        #[at_most = 2]
        narrow: Narrow,
        #[retry = patience]
        shaky: Shaky,
        patience: RetryPolicy,
        linger: Linger,
        again: Again,
        risky: Risky,
        rescue: Rescue,
        doomed: Doomed,
        fan: Fan,
        #[gather]
        join: Join,
        held: Held,
        no_child: NoChild,
    }
    name = "minor";
    context = Ledger;
    output = Closing;
    start = next;
    edges {
        next => {
            Turn::Work(frame, touches) => [work];
            Turn::Narrow(frame) => [narrow];
            Turn::Shaky(frame) => [shaky];
            Turn::Linger(frame, millis) => [linger];
            Turn::Again(frame, times) => [again];
            Turn::Caught(frame, fault) => [risky];
            Turn::Uncaught(frame, fault) => [doomed];
            Turn::Fan(frame, branches, join) => [fan];
            Turn::Child(frame) => [no_child];
            Turn::Arrive(frame) => [join];
            Turn::Hold(frame) => [held];
            Turn::Done(closing) => [];
        };
        work => [next];
        narrow => [next];
        shaky => [next];
        linger => [next];
        again => { Round::Again(frame, times) => [again]; Round::On(frame) => [next]; };
        risky => [next];
        risky on_failure => [rescue];
        rescue => [next];
        doomed => [next];
        fan => [next];
        join => { Joined::On(frame) => [next]; Joined::Nothing(closing) => []; };
        held => [next];
        no_child => [next];
    }
}

impl Play {
    /// The workflow.
    pub fn new() -> Self {
        Self {
            next: Next,
            work: Work,
            narrow: Narrow,
            shaky: Shaky::default(),
            patience: patience(),
            linger: Linger,
            again: Again,
            risky: Risky,
            rescue: Rescue,
            doomed: Doomed,
            fan: Fan,
            join: Join,
            held: Held,
            child: ChildRun::new(Minor::new()),
            adopt: Adopt,
            bereft: Bereft,
        }
    }
}

impl Minor {
    /// The workflow.
    pub fn new() -> Self {
        Self {
            next: Next,
            work: Work,
            narrow: Narrow,
            shaky: Shaky::default(),
            patience: patience(),
            linger: Linger,
            again: Again,
            risky: Risky,
            rescue: Rescue,
            doomed: Doomed,
            fan: Fan,
            join: Join,
            held: Held,
            no_child: NoChild,
        }
    }
}

impl Default for Play {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Minor {
    fn default() -> Self {
        Self::new()
    }
}

fn patience() -> RetryPolicy {
    let pause = Duration::from_millis(1);
    RetryPolicy::new(3, pause, pause, BackoffStrategy::Linear, RetryError::All)
}
