//! Runs in memory that wait for signals, with a clock that the test moves.

use super::DEADLINE;
use jetway_core::{
    Answer, Answered, Approval, BatchNode, CompositeNode, Context, Decision, Error, InMemoryCheckpointStore,
    List, Node, RetryNode, RetryPolicy, SignalSender, SignalType, Transition, WaitFor, WaitForSignal,
    Workflow, WorkflowCtx, clock::Clock as _, nodes::retry::RetryError, step,
};
use jetway_engine::{
    BuildError, Engine,
    backend::{Backend, NewSignal},
    memory::MemoryBackend,
};
use jetway_macros::{node, workflow};
use jetway_state::run::{Verdict, WantedResult};
use jetway_testing::{TestClock, conformance::TestHost};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const DAY: Duration = Duration::from_secs(24 * 3600);

node! { struct Ship {}; input = u32; output = String; |_ctx, order| { Ok(Transition::Next(format!("{order} shipped"))) } }
node! { struct Refund {}; input = u32; output = String; |_ctx, order| { Ok(Transition::Next(format!("{order} refunded"))) } }
node! { struct Expire {}; input = u32; output = String; |_ctx, order| { Ok(Transition::Next(format!("{order} expired"))) } }

workflow! {
    struct Order { approve: Approval<u32>, ship: Ship, refund: Refund, expire: Expire }
    name = "order";
    start = approve;
    edges {
        approve => {
            Decision::Yes(order) => [ship];
            Decision::No(order) => [refund];
            Decision::Expired(order) => [expire];
        };
        ship => []; refund => []; expire => [];
    }
}

fn order() -> Order {
    Order { approve: Approval::new().within(DAY * 3), ship: Ship {}, refund: Refund {}, expire: Expire {} }
}

/// Counts its calls in the context, and waits for `go` first.
#[derive(Debug, Clone)]
struct Careful {
    name: &'static str,
}

#[async_trait::async_trait]
impl Node<List<String>> for Careful {
    type Input = u32;
    type Output = u32;

    async fn process(&self, calls: &List<String>, input: u32) -> Result<Transition<u32>, Error> {
        calls.push("called".to_owned());
        match step().and_then(|step| step.answer()) {
            None => Ok(Transition::WaitFor(WaitFor::signal(self.name))),
            Some(Answer::Signals(signals)) => Ok(Transition::Next(input + signals[0].payload::<u32>()?)),
            Some(Answer::DeadlinePassed) => Err(Error::Generic("there is no deadline".to_owned())),
        }
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<u32>("go")]
    }
}

node! {
    struct Calls {};
    context = List<String>; input = u32; output = (u32, usize);
    |ctx, value| { Ok(Transition::Next((value, ctx.to_vec().len()))) }
}

workflow! {
    struct Cautious { careful: RetryNode<Careful>, calls: Calls }
    context = List<String>;
    name = "cautious";
    start = careful;
    edges { careful => [calls]; calls => []; }
}

fn cautious(name: &'static str) -> Cautious {
    let policy = RetryPolicy::new(
        3,
        Duration::ZERO,
        Duration::ZERO,
        jetway_core::BackoffStrategy::Linear,
        RetryError::All,
    );
    Cautious { careful: RetryNode::new(Careful { name }, policy), calls: Calls {} }
}

fn ctx_at<C: Context>(clock: &TestClock, store: C) -> WorkflowCtx<C> {
    WorkflowCtx::new(store).with_clock(Arc::new(clock.clone()))
}

#[tokio::test]
async fn a_run_in_memory_waits_for_a_signal_or_its_deadline() {
    let clock = TestClock::new();
    for (yes, end) in [(Some(true), "7 shipped"), (Some(false), "7 refunded"), (None, "7 expired")] {
        let sender = SignalSender::new(Workflow::<()>::signals(&order()));
        let ctx = ctx_at(&clock, ()).with_signals(&sender);
        let run = tokio::spawn(async move { order().run(&ctx, 7).await });
        let due = timeout(DEADLINE, clock.next_waiter()).await.unwrap();
        assert_eq!(due, clock.now_after(DAY * 3));
        match yes {
            Some(yes) => sender.send("approval", &json!({ "yes": yes, "by": "Ada" })).unwrap(),
            None => clock.advance(DAY * 3),
        }
        assert_eq!(timeout(DEADLINE, run).await.unwrap().unwrap(), Ok(end.to_owned()));
    }
}

#[tokio::test]
async fn a_sender_refuses_what_no_node_can_take() {
    let sender = SignalSender::new(Workflow::<()>::signals(&order()));
    assert!(matches!(sender.send("aproval", &json!({ "yes": true })), Err(Error::Generic(_))));
    let refused = sender.send("approval", &json!({ "yes": 1 })).unwrap_err().to_string();
    assert!(refused.contains("at yes"), "{refused}");
    for _ in 0..1000 {
        sender.send("approval", &json!({ "yes": true })).unwrap();
    }
    assert!(matches!(sender.send("approval", &json!({ "yes": true })), Err(Error::Limit(_))));
}

#[tokio::test]
async fn without_a_sender_only_the_deadline_ends_a_wait() {
    let clock = TestClock::new();
    let ctx = ctx_at(&clock, ());
    let run = tokio::spawn(async move { order().run(&ctx, 7).await });
    timeout(DEADLINE, clock.next_waiter()).await.unwrap();
    clock.advance(DAY * 3);
    assert_eq!(timeout(DEADLINE, run).await.unwrap().unwrap(), Ok("7 expired".to_owned()));
    let endless = cautious("go").run(&WorkflowCtx::new(List::default()), 1).await.unwrap_err().to_string();
    assert!(endless.contains("WorkflowCtx::with_signals"), "{endless}");
}

#[tokio::test]
async fn what_the_waiting_attempt_changed_is_not_kept_on_hosts() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let mut host =
        TestHost::of(Engine::builder(Arc::clone(&backend)).workflow(cautious("go")).build().unwrap());
    host.work(4).await;
    let run = host.start("cautious", "r", &1).await;
    send(&host, "cautious", "go", "41").await;
    // One call: the first one waited, and its change is gone.
    assert_eq!(host.output::<(u32, usize)>(&run).await, (42, 1));
}

async fn send(host: &TestHost, workflow: &str, name: &str, payload: &'static str) -> Verdict {
    let run = jetway_state::RunKey::new(
        jetway_state::WorkflowName::new(workflow).unwrap(),
        jetway_state::RunId::new("r").unwrap(),
    );
    let payload = bytes::Bytes::from_static(payload.as_bytes());
    let signal =
        NewSignal { run, name: name.to_owned(), id: None, incarnation: None, content_type: None, payload };
    host.engine.signal(signal).await.unwrap().verdict
}

#[tokio::test]
async fn a_wait_for_a_signal_that_is_not_declared_fails_the_step() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let mut host =
        TestHost::of(Engine::builder(Arc::clone(&backend)).workflow(cautious("come")).build().unwrap());
    host.work(4).await;
    let run = host.start("cautious", "r", &1).await;
    let result = host.result(&run).await;
    assert_eq!((&result["status"], &result["error"]["kind"]), (&json!("failed"), &json!("terminal")));
    let message = result["error"]["message"].as_str().unwrap();
    assert!(message.contains("\"come\", which no node of the workflow declares"), "{message}");
    let local = cautious("come").run(&WorkflowCtx::new(List::default()), 1).await.unwrap_err();
    assert!(matches!(local, Error::Terminal(_)), "{local}");
}

#[tokio::test]
async fn w25_a_three_day_approval_on_a_host() {
    for (payload, end) in [(Some(r#"{"yes": true}"#), "7 shipped"), (None, "7 expired")] {
        let clock = TestClock::new();
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
        let engine = Engine::builder(Arc::clone(&backend)).workflow(order()).build().unwrap();
        let mut host = TestHost::of(engine);
        host.work(4).await;
        let (run, due) = (host.start("order", "r", &7).await, clock.now_after(DAY * 3));
        while timeout(DEADLINE, clock.next_waiter()).await.unwrap() != due {}
        clock.advance(DAY * 2);
        // A host that comes later counts from the beginning of the wait.
        drop(host);
        let engine = Engine::builder(Arc::clone(&backend)).workflow(order()).build().unwrap();
        let mut host = TestHost::of(engine);
        host.work(4).await;
        let waiting_for = host.status(&run).await.waiting_for.unwrap();
        assert_eq!(waiting_for, format!("signal \"approval\", until {due}, for node \"approve\""));
        match payload {
            Some(payload) => assert_eq!(send(&host, "order", "approval", payload).await, Verdict::Taken),
            None => {
                while timeout(DEADLINE, clock.next_waiter()).await.unwrap() != due {}
                clock.advance(due.since(clock.now()));
            }
        }
        let result =
            timeout(DEADLINE, backend.done(&run, WantedResult::Latest, DEADLINE)).await.unwrap().unwrap();
        let result: serde_json::Value = serde_json::from_slice(&result.unwrap()).unwrap();
        assert_eq!(result["output"], end);
    }
}

#[tokio::test]
async fn a_run_that_waits_is_resumed_from_its_checkpoint() {
    let (clock, store) = (TestClock::new(), Arc::new(InMemoryCheckpointStore::default()));
    let sender = SignalSender::new(Workflow::<()>::signals(&order()));
    let ctx = ctx_at(&clock, ()).with_signals(&sender);
    let (first, saved) = (ctx.clone(), Arc::clone(&store));
    let run = tokio::spawn(async move { order().run_with_checkpoint(&first, 7, &*saved, "r").await });
    timeout(DEADLINE, clock.next_waiter()).await.unwrap();
    run.abort();
    assert!(run.await.is_err());
    sender.send("approval", &json!({ "yes": false })).unwrap();
    let order = order();
    let again = order.run_with_checkpoint(&ctx, 7, &*store, "r");
    assert_eq!(timeout(DEADLINE, again).await.unwrap(), Ok("7 refunded".to_owned()));
}

#[tokio::test]
async fn w42_one_id_is_one_signal_in_memory() {
    let sender = SignalSender::new(Workflow::<()>::signals(&order()));
    sender.send_once("approval", &json!({ "yes": true }), "a").unwrap();
    sender.send_once("approval", &json!({ "yes": false }), "a").unwrap();
    let ctx = WorkflowCtx::new(()).with_signals(&sender);
    assert_eq!(order().run(&ctx, 7).await, Ok("7 shipped".to_owned()));
}

workflow! {
    struct Inside { ask: Approval<u32> }
    name = "inside";
    start = ask;
    edges { ask => []; }
}

workflow! {
    struct Outside { inside: CompositeNode<(), Inside> }
    name = "outside";
    start = inside;
    edges { inside => []; }
}

workflow! {
    struct Many { many: BatchNode<(), Approval<u32>> }
    name = "many";
    start = many;
    edges { many => []; }
}

#[tokio::test]
async fn what_runs_within_a_step_cannot_wait_for_a_signal() {
    let ctx = WorkflowCtx::new(());
    let outside = Outside { inside: CompositeNode::new(Inside { ask: Approval::new() }, &ctx) };
    assert!(Workflow::<()>::signals(&outside).is_empty());
    let sender = SignalSender::new(Workflow::<()>::signals(&order()));
    let error = outside.run(&ctx.clone().with_signals(&sender), 1).await.unwrap_err().to_string();
    assert!(error.contains("nobody can send it one"), "{error}");
    let many = Many { many: BatchNode::new(Approval::new(), 2) };
    let error = many.run(&ctx, vec![1, 2]).await.unwrap_err().to_string();
    assert!(error.contains("WaitFor"), "{error}");
}

workflow! {
    struct Confused { first: WaitForSignal<u32, u64>, second: WaitForSignal<Answered<u32, u64>, bool> }
    name = "confused";
    start = first;
    edges { first => [second]; second => []; }
}

#[test]
fn two_types_for_one_name_are_refused() {
    let confused = Confused { first: WaitForSignal::new("x"), second: WaitForSignal::new("x") };
    let refused = Engine::builder(Arc::new(MemoryBackend::new())).workflow(confused).build().unwrap_err();
    assert!(matches!(refused, BuildError::BadSignals { .. }));
    let text = refused.to_string();
    assert!(text.contains("workflow \"confused\": signal \"x\" has two types"), "{text}");
}
