//! Runs in memory that wait for times, with a clock that the test moves.

use super::{DEADLINE, waiters::waits_for};
use jetway_core::{
    CheckpointStore as _, Error, InMemoryCheckpointStore, Transition, Workflow as _, WorkflowCtx,
    clock::Clock as _, step,
};
use jetway_engine::{Engine, backend::Backend, memory::MemoryBackend};
use jetway_macros::{node, workflow};
use jetway_state::{
    Timestamp,
    run::{Status, WantedResult},
};
use jetway_testing::{TestClock, conformance::TestHost, wait_until};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const DAY: Duration = Duration::from_secs(24 * 3600);

node! {
    struct Days {};
    input = Vec<u64>; output = u64;
    |_ctx, days| { Ok(Transition::NextAll(days)) }
}

node! {
    struct Sleep {};
    input = u64; output = u64;
    |_ctx, days| { Ok(Transition::NextAfter(DAY * u32::try_from(days).unwrap_or(u32::MAX), days)) }
}

node! {
    struct Narrow {};
    input = u64; output = u64;
    |_ctx, days| { Ok(Transition::Next(days)) }
}

node! {
    struct All {};
    input = Vec<u64>; output = Vec<u64>;
    |_ctx, days| { Ok(Transition::Next(days)) }
}

workflow! {
    struct Calendar { days: Days, sleep: Sleep, #[at_most = 1] narrow: Narrow, #[gather] all: All }
    name = "calendar";
    start = days;
    edges { days => [sleep]; sleep => [narrow]; narrow => [all]; all => []; }
}

fn calendar() -> Calendar {
    Calendar { days: Days {}, sleep: Sleep {}, narrow: Narrow {}, all: All {} }
}

/// Moves the clock to each time that somebody waits for. Returns these times, in days since the start.
async fn move_on(clock: &TestClock, start: Timestamp, times: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < times {
        let due = timeout(DEADLINE, clock.next_waiter()).await.unwrap();
        clock.advance(due.since(clock.now()));
        seen.push(due.since(start).as_secs() / DAY.as_secs());
    }
    seen
}

#[tokio::test]
async fn a_run_in_memory_waits_for_days() {
    let clock = TestClock::new();
    let (start, ctx) = (clock.now(), WorkflowCtx::new(()).with_clock(Arc::new(clock.clone())));
    let run = tokio::spawn(async move { calendar().run(&ctx, vec![30, 1, 0, 365]).await });
    assert_eq!(move_on(&clock, start, 3).await, [1, 30, 365]);
    assert_eq!(timeout(DEADLINE, run).await.unwrap().unwrap(), Ok(vec![30, 1, 0, 365]));
}

#[tokio::test]
async fn a_run_that_sleeps_is_resumed_from_its_checkpoint() {
    let (clock, store) = (TestClock::new(), Arc::new(InMemoryCheckpointStore::default()));
    let (start, ctx) = (clock.now(), WorkflowCtx::new(()).with_clock(Arc::new(clock.clone())));
    let saved = Arc::clone(&store);
    let asleep = ctx.clone();
    let run =
        tokio::spawn(async move { calendar().run_with_checkpoint(&asleep, vec![2, 2], &*saved, "r").await });
    timeout(DEADLINE, clock.next_waiter()).await.unwrap();
    run.abort();
    assert!(run.await.is_err());
    assert!(store.load("r").await.unwrap().is_some());
    clock.advance(DAY);
    let again = tokio::spawn(async move { calendar().run_with_checkpoint(&ctx, vec![], &*store, "r").await });
    assert_eq!(move_on(&clock, start, 1).await, [2], "the rest of the time");
    assert_eq!(timeout(DEADLINE, again).await.unwrap().unwrap(), Ok(vec![2, 2]));
}

#[tokio::test]
async fn a_cancelled_run_does_not_sleep_on() {
    let clock = TestClock::new();
    let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
    let cancel = ctx.cancel_token().clone();
    let run = tokio::spawn(async move { calendar().run(&ctx, vec![30]).await });
    timeout(DEADLINE, clock.next_waiter()).await.unwrap();
    cancel.cancel();
    assert_eq!(timeout(DEADLINE, run).await.unwrap().unwrap(), Err(Error::Cancelled));
}

#[tokio::test]
async fn w23_a_century_is_waited_for_in_pieces() {
    const CENTURY: u64 = 100 * 365;
    let clock = TestClock::new();
    let start = clock.now();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
    let mut host = TestHost::of(Engine::builder(Arc::clone(&backend)).workflow(calendar()).build().unwrap());
    host.work(4).await;
    let run = host.start("calendar", "r", &[CENTURY]).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&CENTURY) {
        seen.extend(move_on(&clock, start, 1).await);
    }
    assert!(seen.windows(2).all(|pair| pair[1] - pair[0] <= 30), "{seen:?}");
    assert!(
        seen.iter().all(|day| (CENTURY - day).is_multiple_of(30)),
        "pieces count back from the end: {seen:?}"
    );
    let result =
        timeout(DEADLINE, backend.done(&run, WantedResult::Latest, DEADLINE)).await.unwrap().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&result.unwrap()).unwrap();
    assert_eq!(result["output"], serde_json::json!([CENTURY]));
}

node! {
    /// Waits until so many days from now.
    struct UntilDay {};
    input = u32; output = u32;
    |_ctx, days| {
        let now = step().expect("a node runs in a step").now();
        Ok(Transition::NextAt(now + DAY * days, days))
    }
}

workflow! { struct Far { until: UntilDay } name = "far"; start = until; edges { until => []; } }

/// The clock of the machine may be behind that of the server by years, or before it.
#[tokio::test]
async fn w23_the_range_of_times_counts_from_the_time_of_the_clock() {
    const LAST: u32 = 100 * 365 + 25;
    for start in [Timestamp(631_152_000_000), Timestamp(3_786_912_000_000)] {
        let clock = TestClock::at(start);
        let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
        let too_far = timeout(DEADLINE, Far { until: UntilDay {} }.run(&ctx, LAST + 1)).await.unwrap();
        assert_eq!(too_far, Err(Error::TimeOutOfRange), "within a process, at {start}");
        let last = tokio::spawn(async move { Far { until: UntilDay {} }.run(&ctx, LAST).await });
        waits_for(&clock, DAY * LAST).await;
        clock.advance(DAY * LAST);
        assert_eq!(timeout(DEADLINE, last).await.unwrap().unwrap(), Ok(LAST), "within a process, at {start}");

        let backend = MemoryBackend::new().with_clock(Arc::new(TestClock::at(start)));
        let far = Engine::builder(Arc::new(backend)).workflow(Far { until: UntilDay {} }).build();
        let mut host = TestHost::of(far.unwrap());
        host.work(4).await;
        let run = host.start("far", "too-far", &(LAST + 1)).await;
        let result = timeout(DEADLINE, host.result(&run)).await.unwrap();
        assert_eq!(result["error"]["kind"], "time_out_of_range", "on a host, at {start}: {result:#}");
        let run = host.start("far", "last", &LAST).await;
        wait_until("it waits", DEADLINE, async || {
            let status = host.status(&run).await;
            assert_eq!(status.run.status, Status::Running, "on a host, at {start}");
            status.pending.iter().any(|pending| pending.sleeping == 1)
        })
        .await;
    }
}
