//! `workflow!` in all spellings of its edges.

use async_trait::async_trait;
use floxide::{
    node, node::Node, retry::RetryPolicy, transition::Transition, workflow, BackoffStrategy, FloxideError,
    RetryError, SharedState, WorkItem, Workflow, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, fmt::Debug, marker::PhantomData, time::Duration};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trail {
    steps: SharedState<Vec<String>>,
}

#[derive(Debug, Clone)]
pub enum Verdict {
    Large(u64),
    Small(u64),
    Bad(String),
}

node! {
    pub struct Judge {};
    context = Trail;
    input = u64;
    output = Verdict;
    |ctx, x| {
        ctx.steps.get().await.push(format!("judge {x}"));
        Ok(Transition::Next(match x {
            0 => Verdict::Bad("zero".to_string()),
            x if x < 10 => Verdict::Small(x),
            x => Verdict::Large(x),
        }))
    }
}

node! {
    pub struct Note { name: &'static str };
    context = Trail;
    input = u64;
    output = u64;
    |ctx, x| {
        ctx.steps.get().await.push(format!("{} {x}", self.name));
        Ok(Transition::Next(x))
    }
}

node! {
    pub struct Reject {};
    context = Trail;
    input = String;
    output = u64;
    |_ctx, why| { Err(FloxideError::Generic(why)) }
}

workflow! {
    pub struct Sorting {
        judge: Judge,
        big: Note,
        middle_sized: Note,
        small: Note,
        again: Note,
        reject: Reject,
    }
    context = Trail;
    edges {
        judge => {
            Verdict::Large(v) if v > 99 && ctx.store.steps.clone().try_count(self) => [big];
            Verdict::Large(_) => [middle_sized];
            Verdict::Small(v) if v == 5 => [];
            Verdict::Small(v) => [again];
            Verdict::Bad(why) => [reject];
        };
        again => {[ small ]};
        small => {};
        big => [];
        middle_sized => {[]};
        reject => [];
    }
    start = judge;
}

/// Guards may name `self`, `ctx` and `input`.
trait TryCount {
    fn try_count(&self, workflow: &Sorting) -> bool;
}

impl TryCount for SharedState<Vec<String>> {
    fn try_count(&self, workflow: &Sorting) -> bool {
        workflow.big.name == "big"
    }
}

fn sorting() -> Sorting {
    let note = |name| Note { name };
    Sorting {
        judge: Judge {},
        big: note("big"),
        middle_sized: note("middle"),
        small: note("small"),
        again: note("again"),
        reject: Reject {},
    }
}

#[tokio::test]
async fn a_value_goes_where_its_arm_says() {
    for (input, trail) in [
        (150, vec!["judge 150", "big 150"]),
        (50, vec!["judge 50", "middle 50"]),
        (5, vec!["judge 5"]),
        (7, vec!["judge 7", "again 7", "small 7"]),
    ] {
        let ctx = WorkflowCtx::new(Trail::default());
        assert_eq!(sorting().run(&ctx, input).await.unwrap(), input);
        assert_eq!(*ctx.store.steps.get().await, trail);
    }
    let rejected = sorting().run(&WorkflowCtx::new(Trail::default()), 0).await;
    assert!(matches!(rejected, Err(FloxideError::Generic(why)) if why == "zero"));
}

#[tokio::test]
async fn a_work_item_is_an_enum_of_ids_and_inputs() {
    let sorting = sorting();
    let item = SortingWorkItem::MiddleSized("id".to_string(), 4);
    assert_eq!((item.instance_id(), item.is_terminal()), ("id".to_string(), true));
    assert_eq!(item.to_string(), "MiddleSized(4)");
    assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"MiddleSized":["id",4]}"#);
    assert_eq!(item, serde_json::from_str(r#"{"MiddleSized":["id",4]}"#).unwrap());
    let start: SortingWorkItem = sorting.start_work_item(7);
    assert!(matches!(&start, SortingWorkItem::Judge(id, 7) if !id.is_empty()));
    assert!(!start.is_terminal());

    let (ctx, mut queue) = (WorkflowCtx::new(Trail::default()), VecDeque::new());
    assert!(matches!(sorting.process_work_item(&ctx, start, &mut queue).await, Ok(None)));
    assert!(matches!(queue.pop_front(), Some(SortingWorkItem::Again(_, 7))));
    assert_eq!(sorting.process_work_item(&ctx, item, &mut queue).await.unwrap(), Some(4));
    assert_eq!(sorting.name(), "Sorting");
}

#[test]
fn the_graph_is_drawn() {
    let dot = sorting().to_dot();
    assert!(dot.starts_with("digraph Sorting {\n  rankdir=LR;\n"));
    assert!(dot.ends_with("}\n"));
    for line in ["Again;", "Again -> Small;", r#"Judge -> Reject [label="Bad"];"#] {
        assert!(dot.lines().any(|drawn| drawn.trim() == line), "{line} is not in {dot}");
    }
}

/// Fails until it was tried often enough; the context counts the attempts.
#[derive(Clone, Debug)]
pub struct Flaky {
    pub fails: usize,
}

#[async_trait]
impl Node<Trail> for Flaky {
    type Input = u64;
    type Output = u64;

    async fn process(&self, ctx: &Trail, input: u64) -> Result<Transition<u64>, FloxideError> {
        let mut steps = ctx.steps.get().await;
        steps.push("try".to_string());
        if steps.len() <= self.fails {
            return Err(FloxideError::Generic("not yet".to_string()));
        }
        Ok(Transition::Next(input))
    }
}

workflow! {
    pub struct Caught {
        #[retry = backoff]
        flaky: Flaky,
        backoff: RetryPolicy,
        left: Note,
        right: Note,
        fallback: Note
    }
    start = flaky;
    context = Trail;
    edges {
        flaky => [left, right];
        flaky on_failure => {[ fallback ]};
        left => [];
        right => [];
        fallback => [];
    }
}

fn caught(fails: usize) -> Caught {
    let ms = Duration::from_millis;
    let backoff = RetryPolicy::new(3, ms(1), ms(4), BackoffStrategy::Exponential, RetryError::Generic);
    let note = |name| Note { name };
    Caught {
        flaky: Flaky { fails },
        backoff,
        left: note("left"),
        right: note("right"),
        fallback: note("fallback"),
    }
}

#[tokio::test]
async fn a_node_is_tried_again_before_its_fallback() {
    let ctx = WorkflowCtx::new(Trail::default());
    assert_eq!(caught(2).run(&ctx, 1).await.unwrap(), 1);
    let steps = ctx.store.steps.get().await.clone();
    // Of two branches the first that ends gives the output.
    assert_eq!(steps[..4], ["try", "try", "try", "left 1"]);

    let ctx = WorkflowCtx::new(Trail::default());
    assert_eq!(caught(9).run(&ctx, 6).await.unwrap(), 6);
    assert_eq!(*ctx.store.steps.get().await, ["try", "try", "try", "fallback 6"]);
    let dot = caught(0).to_dot();
    assert!(dot.contains(r#"Flaky -> Fallback [style="dotted" color="red" label="fallback"];"#));
    assert!(!dot.contains("Backoff"));
}

/// A direct and a composite edge of one node: the direct one is taken, and the arms may name what there is not.
#[allow(deprecated)]
mod shadowed {
    use super::{Note, Trail, Transition};
    use floxide::{workflow, Node, Workflow, WorkflowCtx};

    workflow! {
        pub struct Shadowed { first: Note, second: Note, third: Note }
        start = first;
        context = Trail;
        edges {
            first => [second];
            first => { Nowhere::Known(x) => [third]; };
            second => [third];
            third => [];
        }
    }

    #[tokio::test]
    async fn the_direct_edge_is_taken() {
        let note = |name| Note { name };
        let shadowed = Shadowed { first: note("1"), second: note("2"), third: note("3") };
        assert!(shadowed.to_dot().contains(r#"First -> Third [label="Known"];"#));
        let ctx = WorkflowCtx::new(Trail::default());
        assert_eq!(shadowed.run(&ctx, 4).await.unwrap(), 4);
        assert_eq!(*ctx.store.steps.get().await, ["1 4", "2 4", "3 4"]);
        let answer = shadowed.first.process(&ctx.store, 1).await.unwrap();
        assert!(matches!(answer, Transition::Next(1)));
    }
}

/// A node with a type parameter, used with concrete types.
#[derive(Clone, Debug)]
pub struct Convert<A, B> {
    types: PhantomData<fn(A) -> B>,
}

#[async_trait]
impl<A, B> Node<Trail> for Convert<A, B>
where
    A: Debug + Clone + Send + Sync + 'static,
    B: From<A> + Debug + Clone + Send + Sync + 'static,
{
    type Input = A;
    type Output = B;

    async fn process(&self, _ctx: &Trail, input: A) -> Result<Transition<B>, FloxideError> {
        Ok(Transition::Next(B::from(input)))
    }
}

workflow! {
    struct Widening { wide: Convert<u8, u16>, wider: Convert<u16, u64> }
    start = wide;
    context = Trail;
    edges { wide => [wider]; wider => []; }
}

/// Goes round until it has counted down.
#[derive(Debug, Clone)]
enum Countdown {
    Again(u64),
    Done(u64),
}

node! {
    struct Down {};
    context = ();
    input = u64;
    output = Countdown;
    |_ctx, x| { Ok(Transition::Next(if x == 0 { Countdown::Done(x) } else { Countdown::Again(x - 1) })) }
}

#[tokio::test]
async fn types_may_have_parameters() {
    let widening = Widening { wide: Convert { types: PhantomData }, wider: Convert { types: PhantomData } };
    let ctx = WorkflowCtx::new(Trail::default());
    let widened: u64 = widening.run(&ctx, 200_u8).await.unwrap();
    assert_eq!(widened, 200);
}

node! { struct Landed {}; context = (); input = u64; output = String; |_ctx, x| { Ok(Transition::Next(x.to_string())) } }

workflow! {
    struct Counting { down: Down, landed: Landed }
    start = down;
    edges {
        down => { Countdown::Again(n) => [down]; Countdown::Done(n) => [landed]; };
        landed => [];
    }
}

#[tokio::test]
async fn a_graph_may_have_circles() {
    let counting = Counting { down: Down {}, landed: Landed {} };
    assert_eq!(counting.run(&WorkflowCtx::new(()), 30).await.unwrap(), "0");
}

/// One terminal node with nothing but a fallback, and a variant whose value is not looked at.
mod only_a_fallback {
    use super::{Judge, Note, Reject, Trail, Transition, Verdict};
    use floxide::{workflow, Node, Workflow, WorkflowCtx};

    workflow! {
        struct Falling { reject: Reject, judge: Judge, note: Note, refuse: Reject, pass: Pass }
        start = pass;
        context = Trail;
        edges {
            pass => [judge];
            judge => {
                Verdict::Large(_) => [note];
                Verdict::Small(_) => [note];
                Verdict::Bad(_) => [refuse];
            };
            refuse => [];
            refuse on_failure => { [reject] };
            reject => [];
            note => {[]};
        }
    }

    floxide::node! {
        struct Pass {};
        context = Trail;
        input = u64;
        output = u64;
        |_ctx, x| { Ok(Transition::Next(x)) }
    }

    #[tokio::test]
    async fn the_fallback_is_taken_and_fails_too() {
        let falling = Falling {
            reject: Reject {},
            judge: Judge {},
            note: Note { name: "note" },
            refuse: Reject {},
            pass: Pass {},
        };
        let ctx = WorkflowCtx::new(Trail::default());
        assert_eq!(falling.run(&ctx, 3).await.unwrap(), 3);
        assert_eq!(falling.run(&ctx, 0).await.unwrap_err().to_string(), "Generic error: zero");
        assert!(matches!(falling.pass.process(&ctx.store, 1).await, Ok(Transition::Next(1))));
    }
}
