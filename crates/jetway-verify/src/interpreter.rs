//! The workflows that execute programs, and their context.

mod clean_up;
mod flaky;
mod journal;
mod ledger;
mod limited;
mod listen;
mod nodes;
mod renew;

pub(crate) use clean_up::{UNDO, WIPE};
pub use journal::{Execution, Journal};
#[cfg(feature = "defects")]
pub(crate) use ledger::merge_instead_of_rebase;
pub use ledger::{Answered, Comparable, Entry, Fields, Late, Ledger, PlainLedger};

use crate::program::{
    self, BranchOutput, Change, Fault, Frame, Haste, Limit, Limited, Listen, NextStep, Op, Wait,
};
use clean_up::{Undo, Wipe};
use flaky::Flaky;
use jetway::{BackoffStrategy, ChildRun, Failure, RetryError, RetryPolicy, workflow};
use limited::{Begin, Hasty, Lively, Overdue, Timely, ToLimited};
use listen::{Ask, Expired, Hear, Heard, HeardOf, Hearing};
use nodes::{
    Again, Bounded, ChildCompleted, ChildFailed, Doomed, Doze, Fan, Held, Join, Joined, Left, Next, NoChild,
    Rescue, Right, Risky, Round, Slow, Work,
};
use renew::Renew;
use std::time::Duration;

/// A workflow that executes programs. The two differ in what takes the place of a child run, and in their clean-up: `undo` names the
/// nodes with a clean-up, the steps of each, and the type of its input.
macro_rules! interpreter {
    (
        @decide $decision:tt
        $(#[$about:meta])* $Interpreter:ident, $name:literal;
        nodes { $($(#[$rule:meta])* $node:ident: $Node:ty = $new:expr,)* }
        edges { $($edges:tt)* }
        undo { $($undo:ident = $cancelled:ident($steps:literal): $Input:ty,)* }
    ) => {
        workflow! {
            $(#[$about])*
            pub struct $Interpreter {
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
                listen: Ask,
                #[at_most = 2]
                hear: Hear,
                heard: Heard,
                expired: Expired,
                begin: Begin,
                #[timeout = Limit::Timeout.duration()]
                #[retry = policy]
                hasty: Hasty,
                #[within = Limit::Within.duration()]
                timely: Timely,
                #[heartbeat = Limit::Heartbeat.duration()]
                #[retry = policy]
                lively: Lively,
                overdue: Overdue,
                renew: Renew,
                #[gather]
                join: Join,
                held: Held,
                $($(#[$rule])* $node: $Node,)*
                $($undo: Undo<$Input>,)*
            }
            name = $name;
            context = Ledger;
            output = BranchOutput;
            start = next;
            edges {
                next => $decision;
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
                doze => $decision;
                left => [next];
                right => [next];
                listen => [hear];
                hear => { HeardOf::Signals(frame) => [heard]; HeardOf::Nothing(frame) => [expired]; };
                heard => [next];
                expired => [next];
                begin => {
                    ToLimited::Timeout(limited) => [hasty];
                    ToLimited::Within(limited) => [timely];
                    ToLimited::Heartbeat(limited) => [lively];
                };
                hasty => [next];
                hasty on_failure => [overdue];
                timely => [next];
                timely on_failure => [overdue];
                lively => [next];
                lively on_failure => [overdue];
                overdue => [next];
                renew => [next];
                join => { Joined::Next(frame) => [next]; Joined::Empty(output) => []; };
                held => [next];
                $($edges)*
                $($cancelled on_cancel => [$undo]; $undo => [wipe];)*
            }
        }

        impl $Interpreter {
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
                    listen: Ask,
                    hear: Hear,
                    heard: Heard,
                    expired: Expired,
                    begin: Begin,
                    hasty: Hasty,
                    timely: Timely,
                    lively: Lively,
                    overdue: Overdue,
                    renew: Renew,
                    join: Join,
                    held: Held,
                    $($node: $new,)*
                    $($undo: Undo::of($steps),)*
                }
            }
        }

        impl Default for $Interpreter {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    ($($interpreter:tt)*) => {
        interpreter! {
            @decide {
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
                NextStep::Listen(frame, listen) => [listen];
                NextStep::Limited(frame, limit, haste) => [begin];
                NextStep::Child(frame) => [child];
                NextStep::Anew(frame) => [renew];
                NextStep::Arrive(frame) => [join];
                NextStep::Hold(frame) => [held];
                NextStep::Done(output) => [];
            }
            $($interpreter)*
        }
    };
}

interpreter! {
    /// Executes a program.
    Interpreter, "interpreter";
    nodes {
        child: ChildRun<Ledger, ChildInterpreter> = ChildRun::new(ChildInterpreter::new()),
        child_completed: ChildCompleted = ChildCompleted,
        child_failed: ChildFailed = ChildFailed,
        #[retry = policy]
        wipe: Wipe = Wipe::default(),
    }
    edges {
        child => [child_completed];
        child on_failure => [child_failed];
        child_completed => [next];
        child_failed => [next];
        wipe => [];
    }
    undo {
        undo_next = next("next"): Frame,
        undo_work = work("work"): (Frame, Vec<Change>),
        undo_bounded = bounded("bounded"): Frame,
        undo_flaky = flaky("flaky"): Frame,
        undo_slow = slow("slow"): (Frame, u16),
        undo_again = again("again"): (Frame, u8),
        undo_risky = risky("risky"): (Frame, Fault),
        undo_rescue = rescue("rescue"): Failure<(Frame, Fault)>,
        undo_doomed = doomed("doomed"): (Frame, Fault),
        undo_fan = fan("fan"): (Frame, Vec<Vec<Op>>, program::Join),
        undo_left = left("left"): (Frame, [Vec<Op>; 2]),
        undo_right = right("right"): (Frame, [Vec<Op>; 2]),
        undo_doze = doze("doze"): (Frame, Wait),
        undo_listen = listen("listen"): (Frame, Listen),
        undo_hear = hear("hear"): Hearing,
        undo_heard = heard("answered"): Frame,
        undo_expired = expired("answered"): Frame,
        undo_begin = begin("begin"): (Frame, Limit, Haste),
        undo_hasty = hasty("limited"): Limited,
        undo_timely = timely("limited"): Limited,
        undo_lively = lively("limited"): Limited,
        undo_overdue = overdue("limited"): Failure<Limited>,
        undo_renew = renew("renew"): Frame,
        undo_join = join("join"): Vec<Frame>,
        undo_held = held("held"): Frame,
        undo_child = child("child"): Frame,
        undo_completed = child_completed("child_completed"): BranchOutput,
        undo_failed = child_failed("child_failed"): Failure<Frame>,
    }
}

interpreter! {
    /// Executes the program of a child run, which starts no child runs, and has no clean-up.
    ChildInterpreter, "child-interpreter";
    nodes { child: NoChild = NoChild, }
    edges { child => [next]; }
    undo {}
}

fn retry_policy() -> RetryPolicy {
    let pause = Duration::from_millis(1);
    RetryPolicy::new(3, pause, pause, BackoffStrategy::Linear, RetryError::All)
}
