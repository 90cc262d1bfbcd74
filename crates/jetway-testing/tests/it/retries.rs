//! Retries and time limits in memory, with a clock that the test moves.

use super::DEADLINE;
use jetway_core::{Error, Exhausted, RetryPolicy, Workflow as _, WorkflowCtx, clock::Clock as _, step};
use jetway_engine::{Engine, memory::MemoryBackend};
use jetway_macros::{node, workflow};
use jetway_testing::{TestClock, conformance::TestHost};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The attempts, in seconds since the start of the clock.
type Made = Arc<Mutex<Vec<u64>>>;

node! {
    /// Takes so much time, and fails.
    struct Fail { clock: TestClock, made: Made, takes: Duration };
    input = Option<u64>; output = u64;
    |_ctx, asks| {
        let since = self.clock.now().since(TestClock::new().now());
        self.made.lock().unwrap().push(since.as_secs());
        self.clock.advance(self.takes);
        Err(match asks {
            Some(seconds) => Error::RetryAfter { message: "later".to_owned(), after: SECOND * u32::try_from(seconds).unwrap() },
            None => Error::Generic("busy".to_owned()),
        })
    }
}

workflow! {
    struct Failing { #[retry = policy] fail: Fail, policy: RetryPolicy }
    name = "failing";
    start = fail;
    edges { fail => []; }
}

struct Tested {
    host: TestHost,
    clock: TestClock,
    made: Made,
}

async fn tested(policy: RetryPolicy, takes: Duration) -> Tested {
    let (clock, made) = (TestClock::new(), Made::default());
    let backend = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
    let fail = Fail { clock: clock.clone(), made: Arc::clone(&made), takes };
    let mut host = TestHost::of(Engine::builder(backend).workflow(Failing { fail, policy }).build().unwrap());
    host.work(1).await;
    Tested { host, clock, made }
}

impl Tested {
    /// The error of a run, and when its attempts began.
    async fn run(&self, asks: Option<u64>, retries: usize) -> (serde_json::Value, Vec<u64>) {
        let run = self.host.start("failing", "r", &asks).await;
        for _ in 0..retries {
            let due = timeout(DEADLINE, self.clock.next_waiter()).await.unwrap();
            self.clock.advance(due.since(self.clock.now()));
        }
        let mut result = timeout(DEADLINE, self.host.result(&run)).await.unwrap();
        (result["error"].take(), self.made.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn w30_w31_intervals_grow_up_to_the_longest() {
    let tested = tested(RetryPolicy::attempts(5).first(10 * SECOND).longest(60 * SECOND), SECOND).await;
    let (error, made) = tested.run(None, 4).await;
    assert_eq!(made, [0, 11, 32, 73, 134]);
    assert_eq!((&error["attempt"], &error["message"]), (&5.into(), &"Generic error: busy".into()));
}

#[tokio::test]
async fn w33_two_hours_are_two_hours() {
    let policy = RetryPolicy::attempts(2).longest(HOUR);
    assert_eq!(tested(policy.clone(), SECOND).await.run(Some(7200), 1).await.1, [0, 7201]);
    // Jitter only adds.
    let jittered = tested(policy.clone().with_jitter(HOUR), SECOND).await.run(Some(7200), 1).await.1;
    assert!((7201..=7201 + 3600).contains(&jittered[1]), "{jittered:?}");
    let (error, made) = tested(policy.total_time(HOUR), SECOND).await.run(Some(7200), 0).await;
    assert_eq!(error["message"], "later; no_time_for_retry: next attempt at 7201 s, limit 3600 s");
    assert_eq!(made, [0]);
}

/// 136 years are more than a run waits for.
#[tokio::test]
async fn w33_what_a_node_asks_for_is_within_the_range_of_all_times() {
    let pausing = RetryPolicy::attempts(2).exhausted(Exhausted::Pause);
    let (error, made) = tested(pausing, SECOND).await.run(Some(u64::from(u32::MAX)), 0).await;
    let sentence = "time out of range: a run waits for at most 100 years; the node had failed: later";
    assert_eq!((&error["kind"], &error["message"]), (&"time_out_of_range".into(), &sentence.into()));
    assert_eq!(made, [0]);
}

#[tokio::test]
async fn w34_a_step_without_time_keeps_its_own_error() {
    let policy = RetryPolicy::attempts(9).first(32 * SECOND).total_time(60 * SECOND);
    let (error, made) = tested(policy, 31 * SECOND).await.run(None, 0).await;
    assert_eq!(error["kind"], "error");
    let sentence = "Generic error: busy; no_time_for_retry: next attempt at 63 s, limit 60 s";
    assert_eq!((error["message"].as_str(), made), (Some(sentence), vec![0]));
}

node! {
    /// Hangs, and says so to its own clock.
    struct Hang { attempts: Arc<Mutex<Vec<u32>>> };
    input = (); output = ();
    |_ctx, ()| {
        let step = step().expect("a node runs in a step");
        self.attempts.lock().unwrap().push(step.attempt());
        assert!(step.deadline().is_some_and(|deadline| deadline <= tokio::time::Instant::now() + 2 * SECOND));
        std::future::pending().await
    }
}

workflow! {
    struct Hanging { #[timeout = "2 s"] hang: Hang, policy: RetryPolicy }
    start = hang;
    retry = policy;
    edges { hang => []; }
}

/// No total time is the limit of one attempt.
#[tokio::test(start_paused = true)]
async fn w36_a_node_that_hangs_is_tried_three_times() {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let policy = RetryPolicy::attempts(3).first(SECOND).exhausted(Exhausted::Pause);
    let hanging = Hanging { hang: Hang { attempts: Arc::clone(&attempts) }, policy };
    let started = tokio::time::Instant::now();
    let ended = hanging.run(&WorkflowCtx::new(()), ()).await;
    assert_eq!((ended, attempts.lock().unwrap().len()), (Err(Error::Timeout(2 * SECOND)), 3));
    // Three attempts of 2 s, which get 0.1 s more to stop by themselves, and delays of 1 s and 2 s.
    assert_eq!(started.elapsed(), Duration::from_millis(3 * 2100 + 3000));
}

#[tokio::test]
async fn w30_a_run_in_memory_refuses_a_policy_without_sense() {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    for policy in [RetryPolicy::attempts(0), RetryPolicy::attempts(2).coefficient(0.5)] {
        let hanging = Hanging { hang: Hang { attempts: Arc::clone(&attempts) }, policy };
        let Err(Error::Generic(refused)) = hanging.run(&WorkflowCtx::new(()), ()).await else {
            panic!("it runs");
        };
        assert!(refused.starts_with("node \"hang\" of workflow \"Hanging\": a retry policy"), "{refused}");
    }
    assert!(attempts.lock().unwrap().is_empty());
}
