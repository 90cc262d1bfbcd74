//! Time limits of nodes: per attempt, from ready to done, and between two heartbeats.

use super::{BackendUnderTest, DEADLINE, TestHost};
use crate::wait_until;
use jetway_core::{Failure, RetryPolicy, Transition, step};
use jetway_engine::{Engine, EngineConfig, backend::Backend};
use jetway_macros::{node, workflow};
use jetway_state::{Error, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// What a node does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Task {
    /// Never ends, and stops for nobody.
    Hang,
    /// Stops when its token is cancelled, and says that all is well.
    Stop,
    /// Fails at once.
    Fail,
    /// Fails in the first attempt, after so many milliseconds.
    Slow(u64),
    /// Beats so often, each time after so many milliseconds. Then it hangs in the first attempt.
    Beat(u32, u64),
}

/// What was seen.
#[derive(Debug, Clone, Default)]
struct Seen {
    attempts: Arc<Mutex<Vec<u32>>>,
    stopped: Arc<AtomicU32>,
    dropped: Arc<AtomicU32>,
}

impl Seen {
    fn attempts(&self) -> Vec<u32> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counts(&self) -> (u32, u32) {
        (self.stopped.load(Ordering::SeqCst), self.dropped.load(Ordering::SeqCst))
    }
}

/// Counts when it is dropped.
struct Inside(Arc<AtomicU32>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn work(seen: &Seen, task: Task) -> Result<Transition<u32>, Error> {
    let step = step().expect("a node runs in a step");
    let first = {
        let mut attempts = seen.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.push(step.attempt());
        attempts.len() == 1
    };
    let _inside = Inside(Arc::clone(&seen.dropped));
    match task {
        Task::Hang => std::future::pending().await,
        Task::Stop => {
            step.cancel_token().cancelled().await;
            seen.stopped.fetch_add(1, Ordering::SeqCst);
        }
        Task::Fail => return Err(Error::Generic("busy".to_owned())),
        Task::Slow(millis) if first => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            return Err(Error::Generic("slow".to_owned()));
        }
        Task::Slow(_) => {}
        Task::Beat(times, millis) => {
            for beat in 0..times {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                step.heartbeat(beat)?;
            }
            if first {
                std::future::pending::<()>().await;
            }
        }
    }
    Ok(Transition::Next(step.attempt()))
}

node! {
    struct Work { seen: Seen };
    input = Task; output = u32;
    |_ctx, task| { work(&self.seen, task).await }
}

node! {
    struct Explain {};
    input = Failure<Task>; output = String;
    |_ctx, failure| { Ok(Transition::Next(format!("{}: {}", failure.kind, failure.message))) }
}

node! {
    struct Number {};
    input = u32; output = String;
    |_ctx, number| { Ok(Transition::Next(number.to_string())) }
}

workflow! {
    struct Timed { #[timeout = "200 ms"] work: Work, number: Number }
    name = "timed";
    start = work;
    retry = thrice();
    edges { work => [number]; number => []; }
}

workflow! {
    struct Handled { #[timeout = Duration::from_millis(300)] work: Work, explain: Explain, number: Number }
    name = "timed-handled";
    start = work;
    edges { work => [number]; work on_failure => [explain]; number => []; explain => []; }
}

workflow! {
    struct Within { #[within = "1 s"] work: Work, explain: Explain, number: Number }
    name = "within";
    start = work;
    retry = RetryPolicy::attempts(1000).first(Duration::from_millis(400)).coefficient(1.0);
    edges { work => [number]; work on_failure => [explain]; number => []; explain => []; }
}

workflow! {
    struct Beating { #[heartbeat = "400 ms"] work: Work, number: Number }
    name = "beating";
    start = work;
    retry = thrice();
    edges { work => [number]; number => []; }
}

fn thrice() -> RetryPolicy {
    RetryPolicy::attempts(3).first(Duration::from_millis(20))
}

/// The limit of the host is for nodes without their own: it would end all of these at once.
fn host(backend: &Arc<dyn Backend>, seen: &Seen, step_timeout: Option<Duration>) -> TestHost {
    let work = || Work { seen: seen.clone() };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, step_timeout, ..EngineConfig::default() })
        .workflow(Timed { work: work(), number: Number {} })
        .workflow(Handled { work: work(), explain: Explain {}, number: Number {} })
        .workflow(Within { work: work(), explain: Explain {}, number: Number {} })
        .workflow(Beating { work: work(), number: Number {} })
        .build();
    TestHost::of(engine.expect("the workflows are sound"))
}

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Seen) {
    let seen = Seen::default();
    let mut host = host(&tested.backend, &seen, None);
    host.work(8).await;
    (host, seen)
}

pub(super) async fn w36_each_attempt_has_its_limit(tested: BackendUnderTest) {
    let (host, seen) = at_work(&tested).await;
    let started = tested.backend.clock().now();
    let run = host.start("timed", "r", &Task::Hang).await;
    let result = host.result(&run).await;
    assert_eq!(result["status"], "failed", "{result:#}");
    let error = &result["error"];
    assert_eq!((&error["kind"], &error["attempt"]), (&"timeout".into(), &3.into()), "{error:#}");
    assert_eq!((seen.attempts(), seen.counts()), (vec![1, 2, 3], (0, 3)));
    let took = tested.backend.clock().now().since(started);
    assert!(took >= Duration::from_millis(3 * 200), "{took:?}");
}

pub(super) async fn a_node_that_overruns_is_told_to_stop(tested: BackendUnderTest) {
    let (host, seen) = at_work(&tested).await;
    let run = host.start("timed", "r", &Task::Stop).await;
    // It was too late, whatever it says then.
    assert_eq!(host.result(&run).await["error"]["kind"], "timeout");
    assert_eq!(seen.counts(), (3, 3));
    let run = host.start("timed-handled", "handled", &Task::Hang).await;
    assert_eq!(host.output::<String>(&run).await, "timeout: Workflow timed out after 300ms");
}

pub(super) async fn the_limit_of_the_host_is_for_nodes_without_one(tested: BackendUnderTest) {
    let seen = Seen::default();
    let mut host = host(&tested.backend, &seen, Some(Duration::from_millis(150)));
    host.work(8).await;
    let run = host.start("timed", "own", &Task::Slow(170)).await;
    assert_eq!(host.output::<String>(&run).await, "2");
    let run = host.start("beating", "of-the-host", &Task::Stop).await;
    assert_eq!(host.result(&run).await["error"]["message"], "Workflow timed out after 150ms");
    assert_eq!(seen.stopped.load(Ordering::SeqCst), 3);
}

pub(super) async fn a_step_has_to_be_done_within_its_time(tested: BackendUnderTest) {
    let (host, seen) = at_work(&tested).await;
    let started = tested.backend.clock().now();
    let elapsed = |since: Timestamp| tested.backend.clock().now().since(since);
    let run = host.start("within", "hangs", &Task::Hang).await;
    assert_eq!(host.output::<String>(&run).await, "timeout: not done within 1s");
    assert!(elapsed(started) >= Duration::from_secs(1), "{:?}", elapsed(started));
    assert_eq!(seen.attempts(), [1]);
    let run = host.start("within", "fails", &Task::Fail).await;
    let last = "timeout: not done within 1s; the last attempt failed: Generic error: busy";
    assert_eq!(host.output::<String>(&run).await, last);
    let failures = host.status(&run).await.latest_handled_failures;
    assert_eq!((failures.len(), failures[0].kind.as_str()), (1, "timeout"));
    let run = host.start("within", "succeeds", &Task::Slow(1)).await;
    host.output::<String>(&run).await;
}

/// The time goes on while nobody makes an attempt.
pub(super) async fn a_step_that_is_found_too_late_does_not_run(tested: BackendUnderTest) {
    let seen = Seen::default();
    let mut host = host(&tested.backend, &seen, None);
    let run = host.start("within", "r", &Task::Fail).await;
    let due = tested.backend.clock().now().after(Duration::from_millis(1100));
    wait_until("its time is over", DEADLINE, async || tested.backend.clock().now() > due).await;
    host.work(8).await;
    assert_eq!(host.output::<String>(&run).await, "timeout: not done within 1s");
    assert_eq!(seen.attempts(), Vec::<u32>::new());
}

pub(super) async fn a_node_without_a_heartbeat_fails(tested: BackendUnderTest) {
    let (host, seen) = at_work(&tested).await;
    // Longer than the limit, in beats that are shorter.
    let run = host.start("beating", "r", &Task::Beat(2, 250)).await;
    assert_eq!(host.output::<String>(&run).await, "2");
    assert_eq!(seen.attempts(), [1, 2]);
}
