//! The workflows that the cases run: their nodes do what a case says.

use async_trait::async_trait;
use futures::future::BoxFuture;
use jetway_core::{Counter, EventLog, Fixed, Node, SharedState, Transition, step};
use jetway_macros::{Merge, node, workflow};
use jetway_state::Error;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// What the runs share: one field for each way of merging.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(super) struct Ctx {
    /// Counts what was executed.
    pub(super) steps: Counter,
    /// `node input` of what was executed, in order.
    pub(super) trail: SharedState<Vec<String>>,
    /// The same as events.
    pub(super) log: EventLog<String>,
    /// Never changes.
    pub(super) limit: Fixed<u64>,
    /// What joins by hand have collected.
    pub(super) collected: SharedState<Vec<u64>>,
}

impl Ctx {
    /// What was executed, in order.
    pub(super) async fn trail(&self) -> Vec<String> {
        self.trail.get().await.clone()
    }

    async fn note(&self, node: &str, input: u64) {
        self.steps.increment();
        self.trail.get().await.push(format!("{node} {input}"));
        self.log.append(format!("{node} {input}"));
    }
}

type Answer = Result<Transition<u64>, Error>;
type Deed = dyn Fn(u64, u32) -> BoxFuture<'static, Answer> + Send + Sync;

/// A node that leaves its mark in the context and then does what it is told. Clones share the list of calls.
#[derive(Clone)]
pub(super) struct Act {
    name: &'static str,
    deed: Arc<Deed>,
    calls: Arc<Mutex<Vec<(u64, u32)>>>,
}

impl Act {
    /// Answers so.
    pub(super) fn new(name: &'static str, answer: impl Fn(u64) -> Answer + Send + Sync + 'static) -> Self {
        Self::doing(name, move |input, _attempt| std::future::ready(answer(input)))
    }

    /// Does this, given the input and the attempt at the step.
    pub(super) fn doing<F>(name: &'static str, deed: impl Fn(u64, u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let deed =
            Arc::new(move |input, attempt| -> BoxFuture<'static, Answer> { Box::pin(deed(input, attempt)) });
        Self { name, deed, calls: Arc::default() }
    }

    /// Adds so much.
    pub(super) fn adding(name: &'static str, more: u64) -> Self {
        Self::new(name, move |input| Ok(Transition::Next(input + more)))
    }

    /// Fails at so many attempts at each step.
    pub(super) fn failing(name: &'static str, attempts: u32) -> Self {
        Self::doing(name, move |input, attempt| {
            std::future::ready(if attempt <= attempts { busy(name) } else { Ok(Transition::Next(input)) })
        })
    }

    /// Opens one branch for each number below its input.
    pub(super) fn scatter(name: &'static str) -> Self {
        Self::new(name, |input| Ok(Transition::NextAll((0..input).collect())))
    }

    /// Says when it begins, and waits until it may go on.
    pub(super) fn held(name: &'static str) -> (Self, Arc<Notify>, Arc<Notify>) {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let both = (Arc::clone(&begun), Arc::clone(&go_on));
        let act = Self::doing(name, move |input, _attempt| {
            let (begun, go_on) = both.clone();
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(Transition::Next(input))
            }
        });
        (act, begun, go_on)
    }

    /// Never ends.
    pub(super) fn endless(name: &'static str) -> Self {
        Self::doing(name, |_input, _attempt| std::future::pending())
    }

    /// The inputs that were executed, in order.
    pub(super) fn inputs(&self) -> Vec<u64> {
        self.calls().into_iter().map(|(input, _)| input).collect()
    }

    /// The inputs and attempts that were executed, in order.
    pub(super) fn calls(&self) -> Vec<(u64, u32)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A failure that another attempt may overcome.
pub(super) fn busy<T>(name: &str) -> Result<T, Error> {
    Err(failure(&format!("{name} is busy")))
}

pub(super) fn failure(text: &str) -> Error {
    Error::Generic(text.to_owned())
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Act").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Node<Ctx> for Act {
    type Input = u64;
    type Output = u64;

    async fn process(&self, ctx: &Ctx, input: u64) -> Answer {
        let attempt = step().map_or(1, |step| step.attempt());
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((input, attempt));
        ctx.note(self.name, input).await;
        (self.deed)(input, attempt).await
    }
}

workflow! {
    /// Three nodes in a row.
    pub(super) struct Line { pub(super) one: Act, pub(super) two: Act, pub(super) three: Act }
    name = "line";
    context = Ctx;
    start = one;
    edges { one => [two]; two => [three]; three => []; }
}

impl Line {
    /// Each node adds one.
    pub(super) fn new() -> Self {
        Self { one: Act::adding("one", 1), two: Act::adding("two", 1), three: Act::adding("three", 1) }
    }
}

workflow! {
    /// A fan-out.
    pub(super) struct Fan { pub(super) open: Act, pub(super) branch: Act }
    name = "fan";
    context = Ctx;
    start = open;
    edges { open => [branch]; branch => {}; }
}

impl Fan {
    /// As many branches as the input says; each gives its number.
    pub(super) fn new() -> Self {
        Self::of(Act::adding("branch", 0))
    }

    /// The same with other branches.
    pub(super) fn of(branch: Act) -> Self {
        Self { open: Act::scatter("open"), branch }
    }
}

workflow! {
    /// One value for two successors, which lead to one node.
    pub(super) struct Tree { pub(super) root: Act, pub(super) left: Act, pub(super) right: Act, pub(super) leaf: Act }
    name = "tree";
    context = Ctx;
    start = root;
    edges { root => [left, right]; left => [leaf]; right => {[leaf]}; leaf => []; }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            root: Act::adding("root", 0),
            left: Act::adding("left", 1),
            right: Act::adding("right", 2),
            leaf: Act::adding("leaf", 10),
        }
    }
}

workflow! {
    /// A node with a fallback.
    pub(super) struct Caught { pub(super) first: Act, pub(super) second: Act, pub(super) fallback: Act }
    name = "handled";
    context = Ctx;
    start = first;
    edges { first => [second]; first on_failure => {[fallback]}; second => {}; fallback => []; }
}

impl Caught {
    pub(super) fn of(first: Act) -> Self {
        Self { first, second: Act::adding("second", 1), fallback: Act::adding("fallback", 100) }
    }
}

/// What [`Judge`] finds.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Big(u64),
    Small(u64),
    Again(u64),
}

node! {
    /// 0 fails; 1 to 9 are small, 10 to 19 judged again as one less, what is above is big. 1000 is three values.
    pub(super) struct Judge;
    context = Ctx; input = u64; output = Verdict;
    |ctx, number| {
        ctx.note("judge", number).await;
        Ok(match number {
            0 => return Err(failure("nothing to judge")),
            1..10 => Transition::Next(Verdict::Small(number)),
            10..20 => Transition::Next(Verdict::Again(number - 1)),
            1000 => Transition::NextAll(vec![Verdict::Small(1), Verdict::Big(50), Verdict::Big(500)]),
            _ => Transition::Next(Verdict::Big(number)),
        })
    }
}

workflow! {
    /// Edges by variant, with a guard, an arm that ends the run and a circle.
    pub(super) struct Sorted { pub(super) judge: Judge, pub(super) big: Act, pub(super) small: Act }
    name = "sorted";
    context = Ctx;
    start = judge;
    edges {
        judge => {
            Verdict::Big(n) if n > 99 => [];
            Verdict::Big(n) => [big];
            Verdict::Small(n) => [small];
            Verdict::Again(n) => [judge];
        };
        big => [];
        small => [];
    }
}

impl Sorted {
    pub(super) fn new() -> Self {
        Self { judge: Judge, big: Act::adding("big", 0), small: Act::adding("small", 0) }
    }
}

workflow! {
    /// One value for two branches, each of which ends with an output.
    pub(super) struct Split { pub(super) start: Act, pub(super) split: Act, pub(super) a: Act, pub(super) b: Act }
    name = "split";
    context = Ctx;
    start = start;
    edges { start => [split]; split => [a, b]; a => []; b => []; }
}

impl Split {
    /// The branches add 10 and 100.
    pub(super) fn new() -> Self {
        Self {
            start: Act::adding("start", 0),
            split: Act::adding("split", 0),
            a: Act::adding("a", 10),
            b: Act::adding("b", 100),
        }
    }
}

node! {
    /// Joins by hand: collects in the context, and holds until all have come.
    pub(super) struct Collect { all: usize };
    context = Ctx; input = u64; output = u64;
    |ctx, number| {
        ctx.note("collect", number).await;
        let mut collected = ctx.collected.get().await;
        collected.push(number);
        Ok(if collected.len() < self.all { Transition::Hold } else { Transition::Next(collected.iter().sum()) })
    }
}

workflow! {
    /// A fan-out that is joined by hand.
    pub(super) struct Joined { pub(super) open: Act, pub(super) collect: Collect }
    name = "joined";
    context = Ctx;
    start = open;
    edges { open => [collect]; collect => {}; }
}

impl Joined {
    pub(super) fn new(all: usize) -> Self {
        Self { open: Act::scatter("open"), collect: Collect { all } }
    }
}
