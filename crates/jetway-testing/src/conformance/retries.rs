//! Attempts that fail and are made again by the host, with the count in the record.

use super::{BackendUnderTest, DEADLINE, TestHost, late_ack::Unacked};
use crate::wait_until;
use jetway_core::{
    BackoffStrategy, Failure, RetryError, RetryPolicy, Transition, clock::Clock, retry::BadPolicy, step,
};
use jetway_engine::{
    BuildError, Engine, EngineConfig,
    backend::{Api, Backend, Delivery},
};
use jetway_macros::{node, workflow};
use jetway_state::{Error, RunKey, Timestamp, run::Status, run::control::Control, view::WaitKind};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Longer than what a worker keeps in hand.
const FIRST: Duration = Duration::from_millis(300);

/// What the node does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Call {
    /// Fails in so many attempts.
    Busy(u32),
    /// Fails for good.
    Terminal,
    Abort,
    /// Says when to try again, in milliseconds.
    Later(u64),
    /// Hangs in the second attempt.
    Hang(u32),
    /// Hangs in every attempt.
    HangAlways,
    /// The card of the customer is bad.
    BadCard,
    /// A library says that it is terminal, and another one wraps that.
    Wrapped,
}

#[derive(Debug, thiserror::Error)]
#[error("the card is bad")]
struct BadCard;

#[derive(Debug, thiserror::Error)]
#[error("cannot pay")]
struct Wrapper(#[from] Error);

/// The attempts that were made, with their times.
#[derive(Debug, Clone)]
struct Calls {
    clock: Arc<dyn Clock>,
    made: Arc<Mutex<Vec<(u32, Timestamp)>>>,
}

impl Calls {
    fn made(&self) -> Vec<(u32, Timestamp)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn numbers(&self) -> Vec<u32> {
        self.made().into_iter().map(|(number, _)| number).collect()
    }

    /// The times between the attempts.
    fn gaps(&self) -> Vec<Duration> {
        self.made().windows(2).map(|pair| pair[1].1.since(pair[0].1)).collect()
    }
}

node! {
    struct Service { calls: Calls };
    input = Call; output = u32;
    |_ctx, call| {
        let number = step().map_or(0, |step| step.attempt());
        let calls = {
            let mut made = self.calls.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push((number, self.calls.clock.now()));
            u32::try_from(made.len()).unwrap_or(u32::MAX)
        };
        match call {
            Call::Hang(_) if calls == 2 => std::future::pending().await,
            Call::Busy(times) | Call::Hang(times) if calls > times => Ok(Transition::Next(number)),
            Call::Busy(_) | Call::Hang(_) => Err(Error::Generic("busy".to_owned())),
            Call::HangAlways => std::future::pending().await,
            Call::BadCard => Err(Error::caused_by(BadCard)),
            Call::Wrapped => Err(Error::caused_by(Wrapper::from(Error::Terminal("no such account".to_owned())))),
            Call::Terminal => Err(Error::Terminal("no such account".to_owned())),
            Call::Abort => Ok(Transition::Abort(Error::Generic("enough".to_owned()))),
            Call::Later(_) if calls > 1 => Ok(Transition::Next(number)),
            Call::Later(millis) => Err(Error::RetryAfter {
                message: "too many calls".to_owned(),
                after: Duration::from_millis(millis),
            }),
        }
    }
}

node! {
    struct Instead {};
    input = Failure<Call>; output = u32;
    |_ctx, failure| { Ok(Transition::Next(if failure.node == "service" { 1000 } else { 0 })) }
}

workflow! {
    struct Patient { #[retry = policy] service: Service, instead: Instead, policy: RetryPolicy }
    name = "patient";
    start = service;
    edges { service => []; service on_failure => [instead]; instead => []; }
}

workflow! {
    /// The policy of a node is before that of its workflow, and as a whole.
    struct OfTwo { #[retry = twice] service: Service, second: Service, twice: RetryPolicy, often: RetryPolicy }
    name = "of-two";
    start = service;
    retry = often;
    edges { service => []; service on_failure => [second]; second => []; }
}

node! { struct Split {}; input = Vec<Call>; output = Call; |_ctx, calls| { Ok(Transition::NextAll(calls)) } }
node! { struct All {}; input = Vec<u32>; output = Vec<u32>; |_ctx, numbers| { Ok(Transition::Next(numbers)) } }

workflow! {
    /// Several items fail.
    struct Crowd { split: Split, #[retry = policy] service: Service, #[gather] all: All, policy: RetryPolicy }
    name = "crowd";
    start = split;
    edges { split => [service]; service => [all]; all => []; }
}

workflow! {
    /// There is no time for many attempts.
    struct Hasty { service: Service }
    name = "hasty";
    start = service;
    retry = policy(99).total_time(FIRST * 5);
    edges { service => []; }
}

workflow! {
    /// Without a policy of its own.
    struct Plain { service: Service }
    name = "plain";
    start = service;
    edges { service => []; }
}

fn policy(attempts: usize) -> RetryPolicy {
    let longest = Duration::from_secs(60);
    RetryPolicy::new(attempts, FIRST, longest, BackoffStrategy::Exponential, RetryError::Generic)
}

fn host(backend: &Arc<dyn Backend>, calls: &Calls, retry: Option<RetryPolicy>) -> TestHost {
    let service = || Service { calls: calls.clone() };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, retry, ..EngineConfig::default() })
        .workflow(Patient { service: service(), instead: Instead {}, policy: policy(4) })
        .workflow(Crowd { split: Split {}, service: service(), all: All {}, policy: policy(4) })
        .workflow(Plain { service: service() })
        .workflow(Hasty { service: service() })
        .workflow(OfTwo { service: service(), second: service(), twice: policy(2), often: policy(3) })
        .build();
    TestHost::of(engine.expect("the workflows are sound"))
}

fn idle(tested: &BackendUnderTest) -> (TestHost, Calls) {
    let calls = Calls { clock: tested.backend.clock(), made: Arc::default() };
    (host(&tested.backend, &calls, None), calls)
}

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Calls) {
    let (mut host, calls) = idle(tested);
    host.work(8).await;
    (host, calls)
}

pub(super) async fn w31_attempts_are_made_again_at_growing_intervals(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    let run = host.start("patient", "r", &Call::Busy(3)).await;
    assert_eq!(host.output::<u32>(&run).await, 4);
    assert_eq!(calls.numbers(), [1, 2, 3, 4]);
    for (gap, least) in calls.gaps().into_iter().zip([FIRST, FIRST * 2, FIRST * 4]) {
        assert!(gap >= least && gap < least + DEADLINE / 8, "{gap:?} after {least:?}");
    }
    assert_eq!(host.status(&run).await.run.steps, 1);
}

pub(super) async fn w36_the_last_attempt_takes_the_fallback(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    let run = host.start("patient", "r", &Call::Busy(99)).await;
    assert_eq!(host.output::<u32>(&run).await, 1000);
    assert_eq!(calls.numbers(), [1, 2, 3, 4]);
    assert_eq!(host.status(&run).await.handled_failures, 1);
}

pub(super) async fn w35_what_is_terminal_is_not_tried_again(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    for (id, call) in [("terminal", Call::Terminal), ("abort", Call::Abort)] {
        let run = host.start("patient", id, &call).await;
        assert_eq!(host.output::<u32>(&run).await, 1000);
    }
    assert_eq!(calls.numbers(), [1, 1]);
}

pub(super) async fn w33_a_node_says_when_to_try_again(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    // The error is covered by the class `Generic`, and the wait is longer than the first interval.
    let run = host.start("patient", "r", &Call::Later(900)).await;
    assert_eq!(host.output::<u32>(&run).await, 2);
    assert!(calls.gaps()[0] >= Duration::from_millis(900), "{:?}", calls.gaps());
}

pub(super) async fn a_policy_of_the_host_is_for_nodes_without_one(tested: BackendUnderTest) {
    // Nothing of this host is left that could get a ticket of the next one, and keep it for a lease.
    let (plain, calls) = idle(&tested);
    let run = plain.start("plain", "once", &Call::Busy(1)).await;
    plain.work_off(plain.ticket("plain").await).await;
    assert_eq!(plain.result(&run).await["status"], "failed");
    drop(plain);
    calls.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let mut host = host(&tested.backend, &calls, Some(policy(2)));
    host.work(8).await;
    let run = host.start("plain", "twice", &Call::Busy(1)).await;
    assert_eq!(host.output::<u32>(&run).await, 2);
    let run = host.start("plain", "abort", &Call::Abort).await;
    assert_eq!(host.result(&run).await["status"], "failed");
    assert_eq!(calls.numbers(), [1, 2, 1]);
}

/// Two items whose attempts have failed and are due again, while the tickets of the first attempts are not acked. The alarm of one
/// publishes a ticket for the other, which is refused as long as the first ticket of that item exists.
async fn two_unacked(
    tested: &BackendUnderTest,
    hold: impl AsyncFn(&TestHost, Delivery) -> Unacked,
) -> (TestHost, RunKey, Vec<Unacked>) {
    let (mut host, calls) = idle(tested);
    let run = host.start("crowd", "r", &[Call::Busy(2), Call::Busy(2)]).await;
    host.work_off(host.ticket("crowd").await).await;
    let mut unacked = Vec::new();
    for _ in 0..2 {
        unacked.push(hold(&host, host.ticket("crowd").await).await);
    }
    let both_due = calls.made()[1].1.after(FIRST * 2);
    wait_until("both are due", DEADLINE, async || calls.clock.now() > both_due).await;
    host.work(8).await;
    wait_until("the alarm rings", DEADLINE, async || calls.numbers().len() > 2).await;
    (host, run, unacked)
}

pub(super) async fn w31_an_attempt_that_is_due_before_an_ack_is_made(tested: BackendUnderTest) {
    let (host, run, unacked) = two_unacked(&tested, Unacked::of).await;
    for each in unacked {
        each.ack().await;
    }
    assert_eq!(host.output::<Vec<u32>>(&run).await, [2, 2]);
}

/// As the one before, but whoever has acked goes on before the ack has arrived.
pub(super) async fn w31_an_attempt_that_is_due_while_an_ack_is_on_its_way_is_made(tested: BackendUnderTest) {
    let (host, run, unacked) = two_unacked(&tested, Unacked::unconfirmed).await;
    let mut late = Vec::new();
    for each in unacked {
        late.push(each.ack().await);
    }
    assert_eq!(host.output::<Vec<u32>>(&run).await, [2, 2]);
    for ack in late {
        ack.ack().await.expect("it arrives");
    }
}

pub(super) async fn w32_a_lost_host_is_no_failure_of_the_node(tested: BackendUnderTest) {
    let (host, calls) = idle(&tested);
    let run = host.start("patient", "r", &Call::Hang(4)).await;
    assert!(matches!(
        host.work_off(host.ticket("patient").await).await,
        jetway_engine::TicketOutcome::Acked { .. }
    ));
    let status = host.status(&run).await;
    let [wait] = &status.waits[..] else { panic!("{:?}", status.waits) };
    assert_eq!((wait.kind, wait.detail.as_deref()), (WaitKind::Retry, Some("Generic error: busy")));
    assert!(wait.until.is_some() && wait.moved_by == "the time", "{wait:?}");
    let waiting_for = status.waiting_for.unwrap_or_default();
    assert!(
        waiting_for.starts_with("attempt 2, for node \"service\", due at ")
            && waiting_for.ends_with("; attempt 1 failed: Generic error: busy"),
        "{waiting_for}"
    );
    // The second attempt is lost with its host.
    let (engine, held) = (Arc::clone(&host.engine), host.ticket("patient").await);
    let lost = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    wait_until("the second attempt runs", DEADLINE, async || calls.numbers().len() == 2).await;
    lost.abort();
    assert!(lost.await.is_err());
    let mut host = host;
    host.work(8).await;
    assert_eq!(host.output::<u32>(&run).await, 5, "the fourth failure would have been the last");
    assert_eq!(calls.numbers(), [1, 2, 3, 4, 5]);
}

pub(super) async fn w32_a_node_that_ends_its_host_each_time_fails(tested: BackendUnderTest) {
    assert_eq!(EngineConfig::default().max_attempts, 5);
    let calls = Calls { clock: tested.backend.clock(), made: Arc::default() };
    let service = || Service { calls: calls.clone() };
    let engine = Engine::builder(Arc::clone(&tested.backend))
        .config(EngineConfig { max_attempts: 2, ..EngineConfig::default() })
        .workflow(Patient { service: service(), instead: Instead {}, policy: policy(4) })
        .workflow(Plain { service: service() })
        .build();
    let mut host = TestHost::of(engine.expect("the workflows are sound"));
    let runs =
        [("plain", "r"), ("patient", "handled")].map(|(workflow, id)| (workflow, id, Call::HangAlways));
    let mut started = Vec::new();
    for (workflow, id, call) in &runs {
        started.push(host.start(workflow, id, call).await);
        for losses in 1..=2 {
            let (engine, held, made) =
                (Arc::clone(&host.engine), host.ticket(workflow).await, calls.made().len());
            let lost =
                tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
            wait_until("the attempt is made", DEADLINE, async || calls.made().len() > made).await;
            lost.abort();
            assert!(lost.await.is_err(), "loss {losses}");
        }
    }
    host.work(8).await;
    let error = &host.result(&started[0]).await["error"];
    assert_eq!(error["kind"], "worker_lost", "{error:#}");
    let sentence = error["message"].as_str().unwrap_or_default();
    assert!(sentence.starts_with("the host ended 2 times during this step"), "{sentence}");
    assert_eq!(host.output::<u32>(&started[1]).await, 1000, "the step failed, and was handled");
    assert_eq!(calls.numbers(), [1, 2, 1, 2]);
}

pub(super) async fn w34_a_step_without_time_for_a_retry_fails_at_once(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    // Attempts at 0, 300 and 900 ms, and the next one would be after 1,500 ms.
    let run = host.start("hasty", "r", &Call::Busy(99)).await;
    let error = &host.result(&run).await["error"];
    assert_eq!(error["kind"], "error", "{error:#}");
    let sentence = error["message"].as_str().unwrap_or_default();
    assert!(sentence.starts_with("Generic error: busy; no_time_for_retry: next attempt at "), "{sentence}");
    assert!(sentence.ends_with(", limit 1.5 s"), "{sentence}");
    let attempts = calls.numbers().len();
    assert!((2..=3).contains(&attempts), "{attempts} attempts");
}

pub(super) async fn w35_errors_are_named_and_wrapped(tested: BackendUnderTest) {
    let calls = Calls { clock: tested.backend.clock(), made: Arc::default() };
    let named = RetryPolicy::attempts(2).first(Duration::from_millis(1)).never(["BadCard"]);
    let mut host = host(&tested.backend, &calls, Some(named));
    host.work(8).await;
    for (id, call, message) in [
        ("named", Call::BadCard, "the card is bad"),
        ("wrapped", Call::Wrapped, "cannot pay: no such account"),
        ("busy", Call::Busy(9), "Generic error: busy"),
    ] {
        let run = host.start("plain", id, &call).await;
        assert_eq!(host.result(&run).await["error"]["message"], message);
    }
    assert_eq!(calls.numbers(), [1, 1, 1, 2]);
}

pub(super) async fn a_policy_of_the_workflow_is_for_nodes_without_one(tested: BackendUnderTest) {
    let calls = Calls { clock: tested.backend.clock(), made: Arc::default() };
    let mut host = host(&tested.backend, &calls, Some(policy(9)));
    host.work(8).await;
    let run = host.start("of-two", "r", &Call::Busy(99)).await;
    assert_eq!(host.result(&run).await["status"], "failed");
    assert_eq!(calls.numbers(), [1, 2, 1, 2, 3]);
}

pub(super) async fn w30_policies_without_sense_are_refused(tested: BackendUnderTest) {
    let built = |of_node: RetryPolicy, of_host: Option<RetryPolicy>| {
        let service = Service { calls: Calls { clock: tested.backend.clock(), made: Arc::default() } };
        let engine = Engine::builder(Arc::clone(&tested.backend))
            .config(EngineConfig { retry: of_host, ..EngineConfig::default() })
            .workflow(Patient { service, instead: Instead {}, policy: of_node })
            .build();
        engine.err()
    };
    let refused = built(policy(0), None).expect("no attempt");
    let sentence = "node \"service\" of workflow \"patient\": a retry policy of 0 attempts";
    assert!(refused.to_string().starts_with(sentence), "{refused}");
    for coefficient in [0.5, 0.0, -1.0, f64::NAN] {
        let bad = || policy(2).coefficient(coefficient);
        assert!(matches!(built(bad(), None), Some(BuildError::BadRules(_))), "{coefficient}");
        let of_host = built(policy(2), Some(bad()));
        let is_named = matches!(of_host, Some(BuildError::BadPolicy(BadPolicy::BadCoefficient(_))));
        assert!(is_named, "{coefficient}");
    }
    assert_eq!(built(policy(2).coefficient(1e308), Some(policy(1))), None);
}

pub(super) async fn w37_a_cancelled_run_is_not_tried_again(tested: BackendUnderTest) {
    let (host, calls) = at_work(&tested).await;
    let run = host.start("patient", "r", &Call::Later(600_000)).await;
    wait_until("the run waits", DEADLINE, async || {
        host.status(&run).await.pending.iter().any(|pending| pending.sleeping == 1)
    })
    .await;
    let cancelled = Api::control(&*host.engine, Control::Cancel, "patient", "r").await.expect("it is there");
    assert_eq!((cancelled.status, calls.numbers()), (Status::Cancelled, vec![1]));
}
