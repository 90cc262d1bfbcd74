//! Workflows and nodes with type parameters.

use crate::{attempt, out, to};
use async_trait::async_trait;
use jetway_core::{Error, Graph, Merge, Node, SharedState, SplitNode, Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt::Debug, marker::PhantomData};

trait Value: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync {}
impl<T: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync> Value for T {}

/// A dependency of a node, without `PartialEq` and `Serialize`.
trait Source: Debug + Clone + Send + Sync {
    fn read(&self) -> u8;
}

#[derive(Debug, Clone)]
struct Fixed(u8);

impl Source for Fixed {
    fn read(&self) -> u8 {
        self.0
    }
}

node! {
    struct Repeat<T: Value, S: Source> { source: S, kind: PhantomData<T> };
    input = T;
    output = Vec<T>;
    |_, x| Ok(Transition::Next(vec![x; usize::from(self.source.read())]))
}

#[derive(Debug, Clone)]
struct Take<T>(PhantomData<T>);

#[async_trait]
impl<T: Value> Node for Take<T> {
    type Input = Vec<T>;
    type Output = Option<T>;

    async fn process(&self, _ctx: &(), input: Vec<T>) -> Result<Transition<Option<T>>, Error> {
        Ok(Transition::Next(input.into_iter().next()))
    }
}

workflow! {
    /// Repeats a value and takes one.
    struct Repeating<T, S: Source = Fixed> where T: Value {
        repeat: Repeat<T, S>,
        take: Take<T>,
    }
    start = repeat;
    edges {
        repeat => [take];
        repeat on_failure => [repeat];
        take => {};
    }
}

fn repeating<T: Value>(times: u8) -> Repeating<T> {
    Repeating { repeat: Repeat { source: Fixed(times), kind: PhantomData }, take: Take(PhantomData) }
}

#[tokio::test]
async fn inputs_and_outputs_follow_the_parameters() {
    let ctx = WorkflowCtx::new(());
    let words = repeating::<String>(2);
    let start = words.start_work_item("a".to_owned());
    assert_eq!(attempt(&words, &ctx, start.clone()).await, to(&["Take([\"a\", \"a\"])"]));
    assert_eq!(words.run(&ctx, "a".to_owned()).await, Ok(Some("a".to_owned())));
    assert_eq!(repeating::<u8>(0).run(&ctx, 1).await, Ok(None));

    let json = serde_json::to_string(&start).unwrap();
    assert_eq!(json, r#"{"Repeat":["start","a"]}"#);
    assert_eq!(serde_json::from_str::<RepeatingWorkItem<String>>(&json).unwrap(), start);
    let take = RepeatingWorkItem::<String, Fixed>::Take("x".to_owned(), vec!["b".to_owned()]);
    assert_eq!(attempt(&words, &ctx, take).await, out([Some("b".to_owned())]));
}

/// The context may have parameters too.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(bound = "")]
struct Seen<T: Value + Default> {
    last: SharedState<T>,
}

node! {
    struct Remember<T: Value + Default>(PhantomData<T>);
    context = Seen<T>;
    input = T;
    output = T;
    |ctx, x| {
        let before = std::mem::replace(&mut *ctx.last.get().await, x);
        Ok(Transition::Next(before))
    }
}

workflow! {
    struct Remembering<T: Value + Default> { remember: Remember<T> }
    context = Seen<T>;
    start = remember;
    edges { remember => []; }
}

#[tokio::test]
async fn contexts_follow_the_parameters() {
    let workflow = Remembering { remember: Remember(PhantomData) };
    let ctx = WorkflowCtx::new(Seen::<u8>::default());
    assert_eq!(workflow.run(&ctx, 7).await, Ok(0));
    assert_eq!(workflow.run(&ctx, 8).await, Ok(7));
}

/// Lifetimes and constants are parameters like any other.
#[derive(Debug, Clone)]
struct Prefix<'a, const N: usize>(&'a str);

#[async_trait]
impl<const N: usize> Node for Prefix<'_, N> {
    type Input = String;
    type Output = String;

    async fn process(&self, _ctx: &(), input: String) -> Result<Transition<String>, Error> {
        Ok(Transition::Next(format!("{}{input}", self.0.repeat(N))))
    }
}

workflow! {
    struct Prefixing<'a, const N: usize> { prefix: Prefix<'a, N> }
    start = prefix;
    edges { prefix => []; }
}

#[tokio::test]
async fn lifetimes_and_constants_are_parameters_too() {
    let mark = String::from("-");
    let workflow = Prefixing::<'_, 3> { prefix: Prefix(&mark) };
    assert_eq!(workflow.run(&WorkflowCtx::new(()), "x".to_owned()).await, Ok("---x".to_owned()));
}

workflow! {
    /// Splits with a closure, which has no `Debug`.
    struct Splitting<F: Fn(String) -> Vec<String> + Clone + Send + Sync> {
        split: SplitNode<String, String, F>,
        take: Split,
    }
    start = split;
    edges { split => [take]; take => []; }
}

node! { struct Split; input = String; output = String; |_, x| Ok(Transition::Next(x)) }

#[tokio::test]
async fn a_closure_is_an_argument() {
    let mark = String::from(", ");
    let split = SplitNode::new(|text: String| text.split(&mark).map(str::to_owned).collect());
    let workflow = Splitting { split, take: Split };
    assert_eq!(workflow.run(&WorkflowCtx::new(()), "a, b".to_owned()).await, Ok("a".to_owned()));
    assert_eq!(format!("{workflow:?}"), "Splitting { split: SplitNode { .. }, take: Split }");
}

/// Tests the derive with parameters.
#[derive(Debug, Default, PartialEq, jetway_macros::Merge)]
struct Both<T: Debug, U>(T, PhantomUnit<U>)
where
    U: Debug;

#[derive(Debug, PartialEq)]
struct PhantomUnit<U>(PhantomData<U>);

impl<U> Default for PhantomUnit<U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<U> Merge for PhantomUnit<U> {
    fn merge(&mut self, _other: Self) {}
}

#[test]
fn merge_bounds_what_the_fields_use() {
    let mut both = Both::<(), ()>::default();
    both.merge(Both::default());
    assert_eq!(both, Both::default());
}

/// A node that runs a workflow within its step.
#[derive(Debug, Clone)]
struct Within<W>(W);

#[async_trait]
impl<W: Workflow<()>> Node for Within<W> {
    type Input = u8;
    type Output = u8;

    async fn process(&self, _ctx: &(), _input: u8) -> Result<Transition<u8>, Error> {
        Ok(Transition::Hold)
    }

    fn nested(&self) -> Option<Graph> {
        Some(self.0.graph())
    }
}

workflow! {
    struct Outer<W: Workflow<()>> { within: Within<W> }
    start = within;
    edges { within => []; }
}

workflow! {
    struct Around { within: Within<Outer<Repeating<u8>>> }
    start = within;
    edges { within => []; }
}

#[test]
fn every_instance_has_its_own_drawing() {
    let mark = String::from("-");
    let prefixing = Outer { within: Within(Prefixing::<'_, 3> { prefix: Prefix(&mark) }) };
    let repeating = Outer { within: Within(repeating::<u8>(1)) };
    assert!(prefixing.to_dot().contains(r#"label="Within: Prefixing""#), "{}", prefixing.to_dot());
    assert!(repeating.to_dot().contains(r#"Within -> "Within/Repeat" [style="dashed" label="runs"];"#));
    assert!(std::ptr::eq(prefixing.to_dot(), prefixing.clone().to_dot()));
    let around = Around { within: Within(repeating.clone()) };
    assert!(around.to_dot().contains(r#"      "Within/Within/Take" ["#), "{}", around.to_dot());
    assert_eq!(repeating.graph().fingerprint(), prefixing.graph().fingerprint());
}
