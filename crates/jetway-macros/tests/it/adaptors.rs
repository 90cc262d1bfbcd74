//! Nodes built from nodes, functions and workflows.

use jetway_core::{
    BackoffStrategy, BatchNode, CompositeNode, Counter, Error, Failure, InMemoryCheckpointStore, List,
    RetryError, RetryNode, RetryPolicy, SplitNode, Transition, Workflow, WorkflowCtx, step,
};
use jetway_macros::{node, workflow};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, jetway_macros::Merge)]
struct Notes {
    steps: Counter,
    words: List<String>,
}

node! {
    /// Fails `failures` times.
    struct Flaky { failures: u32, runs: Arc<AtomicU32> };
    context = Notes;
    input = String;
    output = String;
    |ctx, word| {
        ctx.steps.increment();
        if self.runs.fetch_add(1, Relaxed) < self.failures {
            return Err(Error::Generic("not yet".to_owned()));
        }
        ctx.words.push(word.clone());
        Ok(Transition::Next(word))
    }
}

node! {
    struct Upper;
    context = Notes;
    input = String;
    output = String;
    |ctx, word| {
        ctx.words.push(word.clone());
        Ok(Transition::Next(word.to_uppercase()))
    }
}

node! {
    struct Explain;
    context = Notes;
    input = Failure<String>;
    output = String;
    |_, failure| Ok(Transition::Next(format!("{} {}: {failure}", failure.kind, failure.input)))
}

node! {
    struct Both;
    context = Notes;
    input = Vec<String>;
    output = String;
    |_, words| Ok(Transition::Next(words.join("+")))
}

workflow! {
    struct Retrying {
        #[retry = policy]
        flaky: Flaky,
        policy: RetryPolicy,
        upper: Upper,
        explain: Explain,
    }
    start = flaky;
    context = Notes;
    edges {
        flaky => [upper];
        flaky on_failure => [explain];
        upper => [];
        explain => [];
    }
}

workflow! {
    struct Wrapped { twice: RetryNode<Upper>, upper: Upper }
    start = twice;
    context = Notes;
    edges { twice => [upper]; upper => []; }
}

#[test]
fn a_node_with_a_retrying_type_is_drawn_with_retry() {
    let policy = retrying(0).policy;
    let wrapped = Wrapped { twice: RetryNode::new(Upper, policy), upper: Upper };
    let retried: Vec<_> = wrapped.graph().nodes.iter().map(|node| node.retry).collect();
    assert_eq!(retried, [true, false]);
    assert!(wrapped.to_dot().contains(r#"label="Twice\nretry""#), "{}", wrapped.to_dot());
}

type Words = SplitNode<String, String, fn(String) -> Vec<String>>;

workflow! {
    struct Batched {
        split: Words,
        #[gather]
        batch: BatchNode<Notes, Upper>,
        both: Both,
    }
    start = split;
    context = Notes;
    edges { split => [batch]; batch => [both]; both => []; }
}

workflow! {
    struct Nested { first: Upper, inner: CompositeNode<Notes, Retrying> }
    start = first;
    context = Notes;
    edges { first => [inner]; inner => []; }
}

fn retrying(failures: u32) -> Retrying {
    let policy = RetryPolicy::new(
        3,
        Duration::from_millis(1),
        Duration::from_millis(2),
        BackoffStrategy::Linear,
        RetryError::Generic,
    );
    let flaky = Flaky { failures, runs: Arc::default() };
    Retrying { flaky, policy, upper: Upper, explain: Explain }
}

#[tokio::test]
async fn a_node_with_a_policy_is_retried() {
    let ctx = WorkflowCtx::new(Notes::default());
    assert_eq!(retrying(2).run(&ctx, "word".to_owned()).await, Ok("WORD".to_owned()));
    assert_eq!(ctx.store.steps.get(), 3);
}

#[tokio::test]
async fn a_fallback_can_take_the_error() {
    let ctx = WorkflowCtx::new(Notes::default());
    let explained = retrying(9).run(&ctx, "word".to_owned()).await;
    assert_eq!(explained, Ok("error word: node `flaky` failed: Generic error: not yet".to_owned()));
}

#[tokio::test]
async fn a_batch_takes_the_output_of_a_split() {
    let split = |text: String| text.split(' ').map(ToOwned::to_owned).collect();
    let batched = Batched { split: SplitNode::new(split), batch: BatchNode::new(Upper, 2), both: Both };
    let ctx = WorkflowCtx::new(Notes::default());
    assert_eq!(batched.run(&ctx, "a b c".to_owned()).await, Ok("A+B+C".to_owned()));
    assert_eq!(ctx.store.words.to_vec(), ["a", "b", "c"]);
}

#[tokio::test]
async fn an_inner_workflow_changes_the_context_of_its_step() {
    let ctx = WorkflowCtx::new(Notes::default());
    let nested = Nested { first: Upper, inner: CompositeNode::new(retrying(1), &ctx) };
    assert_eq!(nested.run(&ctx, "word".to_owned()).await, Ok("WORD".to_owned()));
    assert_eq!(ctx.store.words.to_vec(), ["word", "WORD", "WORD"]);
    assert_eq!(ctx.store.steps.get(), 2);
}

node! {
    /// Returns the idempotency key of its step. Fails with it before the last attempt.
    struct Keyed { failures: u32, runs: Arc<AtomicU32> };
    input = u32;
    output = String;
    |_, _number| {
        let key = step().ok_or(Error::NotStarted)?.idempotency_key();
        if self.runs.fetch_add(1, Relaxed) < self.failures {
            return Err(Error::Generic(key));
        }
        Ok(Transition::Next(key))
    }
}

workflow! {
    struct Key { keyed: Keyed }
    start = keyed;
    edges { keyed => []; }
}

fn key(failures: u32) -> Key {
    Key { keyed: Keyed { failures, runs: Arc::default() } }
}

#[tokio::test]
async fn every_local_run_has_its_own_keys() {
    let ctx = WorkflowCtx::new(());
    let (one, two) = (key(0).run(&ctx, 1).await.unwrap(), key(0).run(&ctx, 1).await.unwrap());
    assert!(one.starts_with("Key/") && one != two, "{one} {two}");
}

#[tokio::test]
async fn a_resumed_run_keeps_its_keys() {
    let (ctx, store) = (WorkflowCtx::new(()), InMemoryCheckpointStore::new());
    let mut keys = BTreeSet::new();
    for id in ["a name", "another name"] {
        let failed = key(1).run_with_checkpoint(&ctx, 1, &store, id).await.unwrap_err();
        let resumed = key(0).resume(&store, id).await.unwrap();
        assert!(failed.to_string().contains(&resumed), "{failed} and then {resumed}");
        keys.insert(resumed);
    }
    // Another start under the name has a key of its own.
    let again = InMemoryCheckpointStore::new();
    keys.insert(key(0).run_with_checkpoint(&ctx, 1, &again, "a name").await.unwrap());
    assert_eq!(keys.len(), 3, "{keys:?}");
}

workflow! {
    struct Keys { batch: BatchNode<(), CompositeNode<(), Key>>, }
    start = batch;
    edges { batch => []; }
}

#[tokio::test]
async fn every_input_of_a_batch_has_its_own_key() {
    let (ctx, store) = (WorkflowCtx::new(()), InMemoryCheckpointStore::new());
    let keys = |failures| Keys { batch: BatchNode::new(CompositeNode::new(key(failures), &ctx), 2) };
    assert!(keys(1).run_with_checkpoint(&ctx, vec![7, 7, 7], &store, "first").await.is_err());
    let first = keys(0).resume(&store, "first").await.unwrap();
    for (position, key) in first.iter().enumerate() {
        // The run, the step, the input, then the inner run and its step.
        let (before, after) = (String::from("Keys/first/"), format!("/start/{position}/Key/local-"));
        assert!(key.starts_with(&before) && key.contains(&after) && key.ends_with("/start"), "{key}");
    }
}

node! {
    struct InnerRuns { inner: Key };
    input = ();
    output = Vec<String>;
    |_ctx, _input| {
        let mut keys = Vec::new();
        for input in [1, 2, 1] {
            keys.push(self.inner.run(&WorkflowCtx::new(()), input).await?);
        }
        Ok(Transition::Next(keys))
    }
}

workflow! {
    struct RunsInside { runs: InnerRuns }
    start = runs;
    edges { runs => []; }
}

#[tokio::test]
async fn inner_runs_have_keys_by_their_input() {
    let keys = RunsInside { runs: InnerRuns { inner: key(0) } }.run(&WorkflowCtx::new(()), ()).await.unwrap();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2], "a retry keeps its key");
}
