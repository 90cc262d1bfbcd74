//! Nodes around nodes, and what feeds a workflow.

use async_trait::async_trait;
use floxide::{
    node, node::Node, retry::RetryDelay, source, split::SplitNode, transition::Transition, with_retry,
    workflow, BackoffStrategy, BatchNode, CompositeNode, FloxideError, RetryError, RetryNode, RetryPolicy,
    Workflow, WorkflowCtx,
};
use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::Duration,
};

node! {
    pub struct Double {};
    context = ();
    input = u64;
    output = u64;
    |_ctx, x| { Ok(Transition::Next(x * 2)) }
}

/// Adds up what it is given, and gives the sum so far.
#[derive(Clone, Debug, Default)]
pub struct Sum(Arc<AtomicU64>);

#[async_trait]
impl Node for Sum {
    type Input = u64;
    type Output = u64;

    async fn process(&self, _ctx: &(), input: u64) -> Result<Transition<u64>, FloxideError> {
        Ok(Transition::Next(self.0.fetch_add(input, Ordering::SeqCst) + input))
    }
}

fn one_to(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

workflow! {
    pub struct Doubling { double: Double, sum: Sum }
    start = double;
    context = ();
    edges { double => [sum]; sum => []; }
}

workflow! {
    pub struct Outer {
        split: SplitNode<u64, u64, fn(u64) -> Vec<u64>>,
        inner: CompositeNode<(), Doubling>,
    }
    start = split;
    context = ();
    edges { split => [inner]; inner => []; }
}

#[tokio::test]
async fn a_workflow_is_a_node_of_another() {
    let ctx = WorkflowCtx::new(());
    let sum = Sum::default();
    let inner = CompositeNode::new(Doubling { double: Double {}, sum: sum.clone() }, &ctx);
    let outer = Outer { split: SplitNode::new(one_to as fn(u64) -> Vec<u64>), inner };
    assert_eq!(outer.run(&ctx, 3).await.unwrap(), 2);
}

#[tokio::test]
async fn a_closure_splits() {
    let words = SplitNode::new(|text: String| text.split(' ').map(str::to_string).collect::<Vec<_>>());
    let answer = Node::<()>::process(&words, &(), "a b".to_string()).await.unwrap();
    assert!(matches!(answer, Transition::NextAll(words) if words == ["a", "b"]));
}

workflow! {
    pub struct Batched { all: BatchNode<(), Double> }
    start = all;
    context = ();
    edges { all => []; }
}

#[tokio::test]
async fn a_batch_keeps_the_order() {
    let batch = BatchNode::new(Double {}, 2);
    assert_eq!(batch.batch_size, 2);
    assert_eq!(batch.process_batch((), one_to(5)).await.unwrap(), [2, 4, 6, 8, 10]);
    let batched = Batched { all: batch };
    assert_eq!(batched.run(&WorkflowCtx::new(()), vec![4]).await.unwrap(), [8]);
    assert!(format!("{:?}", batched.all.node).contains("Double"));
}

#[tokio::test]
async fn a_source_feeds_a_workflow() {
    let (sender, values) = source::<(), u64>(10);
    let (ctx, sum) = (WorkflowCtx::new(()), Sum::default());
    let workflow = Doubling { double: Double {}, sum: sum.clone() };
    let feeding = async move {
        for value in one_to(4) {
            sender.send(value).await.unwrap();
        }
    };
    let (ran, ()) = tokio::join!(values.run(&workflow, &ctx), feeding);
    ran.unwrap();
    assert_eq!(sum.0.load(Ordering::SeqCst), 20);
    let (_sender, receiver) = tokio::sync::mpsc::channel::<u64>(1);
    let by_hand: floxide::Source<(), u64> = floxide::Source::new(receiver);
    assert!(format!("{:?}", by_hand.clone()).contains("Source"));
}

/// Fails twice.
#[derive(Clone, Debug, Default)]
pub struct Third(Arc<AtomicU64>);

#[async_trait]
impl Node for Third {
    type Input = u64;
    type Output = u64;

    async fn process(&self, _ctx: &(), input: u64) -> Result<Transition<u64>, FloxideError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(FloxideError::Generic("not yet".to_string())),
            _ => Ok(Transition::Next(input)),
        }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

workflow! {
    struct Wrapped { third: RetryNode<Third> }
    start = third;
    edges { third => []; }
}

#[tokio::test]
async fn a_node_is_tried_again() {
    let policy =
        RetryPolicy::new(3, ms(1), ms(3), BackoffStrategy::Linear, RetryError::All).with_jitter(ms(1));
    let node = with_retry(Third::default(), policy.clone());
    assert!(matches!(node.process(&(), 5).await, Ok(Transition::Next(5))));
    assert_eq!(node.policy.max_attempts, 3);
    let wrapped = Wrapped { third: RetryNode::new(Third::default(), policy.clone()) };
    assert_eq!(wrapped.run(&WorkflowCtx::new(()), 7).await.unwrap(), 7);
    let twice = RetryNode { inner: Third::default(), policy: RetryPolicy { max_attempts: 2, ..policy } };
    assert!(matches!(twice.process(&(), 5).await, Err(FloxideError::Generic(_))));
}

#[test]
fn a_policy_says_when() {
    let policy = RetryPolicy::new(4, ms(10), ms(25), BackoffStrategy::Exponential, RetryError::Timeout);
    let pauses: Vec<_> = (1..4).map(|attempt| policy.backoff_duration(attempt)).collect();
    assert_eq!(pauses, [ms(10), ms(20), ms(25)]);
    let linear = RetryPolicy {
        strategy: BackoffStrategy::Linear,
        max_backoff: ms(99),
        jitter: None,
        ..policy.clone()
    };
    assert_eq!(linear.backoff_duration(3), ms(30));
    assert!(policy.should_retry(&FloxideError::Timeout(ms(1)), 3));
    assert!(!policy.should_retry(&FloxideError::Timeout(ms(1)), 4));
    assert!(!policy.should_retry(&FloxideError::Cancelled, 1));
    assert_eq!((policy.initial_backoff, policy.jitter), (ms(10), None));
    for (class, error) in [
        (RetryError::Cancelled, FloxideError::Cancelled),
        (RetryError::Generic, FloxideError::Generic(String::new())),
    ] {
        assert!(RetryPolicy { retry_error: class, ..policy.clone() }.should_retry(&error, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_context_waits_between_attempts() {
    async fn waits(delay: &impl RetryDelay) -> Result<(), FloxideError> {
        delay.wait(ms(50)).await
    }
    let ctx = WorkflowCtx::new(());
    assert!(waits(&ctx).await.is_ok() && waits(&ctx.store).await.is_ok());
    ctx.cancel();
    assert!(matches!(waits(&ctx).await, Err(FloxideError::Cancelled)));
}
