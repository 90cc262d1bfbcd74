//! What runs within a step, with a clock that the test moves: child runs, inner workflows and back-off.

use super::{DEADLINE, waiters::waits_for};
use jetway_core::{
    ChildOrSignal, ChildRun, CompositeNode, Error, FirstOf, RetryPolicy, Transition, Workflow, WorkflowCtx,
    retry::RetryNode,
};
use jetway_macros::{node, workflow};
use jetway_testing::TestClock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

node! { struct Sleep {}; input = u32; output = u32; |_ctx, months| { Ok(Transition::NextAfter(MONTH * months, months)) } }
node! { struct Wake {}; input = u32; output = u32; |_ctx, months| { Ok(Transition::Next(months)) } }

workflow! {
    struct Inner { sleep: Sleep, wake: Wake }
    start = sleep;
    edges { sleep => [wake]; wake => []; }
}

workflow! { struct OfChild { child: ChildRun<(), Inner> } start = child; edges { child => []; } }
workflow! { struct OfInner { inner: CompositeNode<(), Inner> } start = inner; edges { inner => []; } }
workflow! { struct OfFirst { first: ChildOrSignal<(), Inner, String> } start = first; edges { first => []; } }
workflow! { struct OfRetries { flaky: RetryNode<Flaky> } start = flaky; edges { flaky => []; } }

node! {
    /// Fails so often.
    struct Flaky { calls: Arc<AtomicU32> };
    input = u32; output = u32;
    |_ctx, failures| {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        if calls < failures { Err(Error::Generic("busy".to_owned())) } else { Ok(Transition::Next(calls)) }
    }
}

fn inner() -> Inner {
    Inner { sleep: Sleep {}, wake: Wake {} }
}

/// The end of a run, after its clock was moved by these times, each as soon as somebody waits for its end.
async fn run<W: Workflow<()> + 'static>(
    workflow: W,
    input: W::Input,
    moves: &[Duration],
) -> Result<W::Output, Error> {
    let clock = TestClock::new();
    let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
    let ended = tokio::spawn(async move { workflow.run(&ctx, input).await });
    for wait in moves {
        waits_for(&clock, *wait).await;
        clock.advance(*wait);
    }
    timeout(DEADLINE, ended).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_child_run_sleeps_for_months() {
    let child = || ChildRun::new(inner());
    assert_eq!(run(OfChild { child: child() }, 2, &[MONTH * 2]).await, Ok(2));
    let limited = OfChild { child: child().timeout(DAY) };
    assert_eq!(run(limited, 2, &[DAY]).await, Err(Error::Timeout(DAY)));
}

#[tokio::test]
async fn an_inner_workflow_sleeps_for_months() {
    let inner = CompositeNode::new(inner(), &WorkflowCtx::new(()));
    assert_eq!(run(OfInner { inner }, 2, &[MONTH * 2]).await, Ok(2));
}

#[tokio::test]
async fn a_deadline_passes_before_a_child_run_ends() {
    let first = || OfFirst { first: ChildRun::new(inner()).or_signal("enough").within(DAY) };
    // The wait for a signal, which is over at once, is one of the run.
    assert_eq!(run(first(), 2, &[DAY]).await, Ok(FirstOf::DeadlinePassed));
    assert_eq!(run(first(), 0, &[]).await, Ok(FirstOf::Child(0)));
}

#[tokio::test]
async fn attempts_within_a_step_are_hours_apart() {
    let flaky = |policy| OfRetries { flaky: RetryNode::new(Flaky { calls: Arc::default() }, policy) };
    let policy = || RetryPolicy::attempts(4).first(HOUR).longest(DAY);
    assert_eq!(run(flaky(policy()), 3, &[HOUR, HOUR * 2, HOUR * 4]).await, Ok(3));
    // The hours that the clock was moved by count for the total time.
    let short = policy().total_time(HOUR * 4);
    assert_eq!(run(flaky(short), 3, &[HOUR, HOUR * 2]).await, Err(Error::Generic("busy".to_owned())));
    let endless = policy().first(Duration::MAX).longest(Duration::MAX);
    assert_eq!(run(flaky(endless), 3, &[]).await, Err(Error::TimeOutOfRange));
}

node! {
    /// Takes five minutes, by the timer of the process.
    struct Slow {};
    input = u32; output = u32;
    |_ctx, input| {
        tokio::time::sleep(Duration::from_secs(300)).await;
        Ok(Transition::Next(input))
    }
}

workflow! { struct Limited { slow: Slow } start = slow; deadline = "10 minutes"; edges { slow => []; } }

/// A clock may return from a sleep before its end.
#[tokio::test(start_paused = true)]
async fn a_long_step_is_not_stopped_before_the_deadline_of_its_run() {
    assert_eq!(Limited { slow: Slow {} }.run(&WorkflowCtx::new(()), 7).await, Ok(7));
}
