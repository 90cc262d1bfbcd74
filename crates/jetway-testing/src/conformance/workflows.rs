//! The workflows that the suite runs.

use jetway_core::{ChildRun, Counter, Failure, SharedState, Transition};
use jetway_macros::{Merge, node, workflow};
use jetway_state::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::{Notify, Semaphore};

/// Counts what nodes execute, and can hold them up.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    executed: Arc<AtomicU32>,
    gate: Option<Arc<RunState>>,
    seen: Arc<Mutex<Vec<(String, u32)>>>,
    inside: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

#[derive(Debug)]
struct RunState {
    arrived: Notify,
    open: Semaphore,
}

impl Probe {
    /// Lets everything through.
    pub fn open() -> Self {
        Self::default()
    }

    /// Holds every node up until [`let_through`](Self::let_through).
    pub fn closed() -> Self {
        let gate = RunState { arrived: Notify::new(), open: Semaphore::new(0) };
        Self { gate: Some(Arc::new(gate)), ..Self::default() }
    }

    /// Waits until a node is held up.
    pub async fn arrived(&self) {
        if let Some(gate) = &self.gate {
            gate.arrived.notified().await;
        }
    }

    /// Lets so many nodes through.
    pub fn let_through(&self, nodes: usize) {
        if let Some(gate) = &self.gate {
            gate.open.add_permits(nodes);
        }
    }

    /// How often a node was executed.
    pub fn executed(&self) -> u32 {
        self.executed.load(Ordering::SeqCst)
    }

    /// The items and attempts that were executed, in order.
    pub fn seen(&self) -> Vec<(String, u32)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many nodes were held up at the same time, at most.
    pub fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    pub(super) async fn pass(&self) {
        self.executed.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if let Some(step) = jetway_core::step() {
            let seen = (step.item_id().to_string(), step.attempt());
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        }
        if let Some(gate) = &self.gate {
            gate.arrived.notify_one();
            if let Ok(permit) = gate.open.acquire().await {
                permit.forget();
            }
        }
        // Others get their turn to come in.
        tokio::task::yield_now().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the runs of the suite share.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(super) struct Shared {
    /// Counts steps.
    pub(super) steps: Counter,
    /// Values that held joins collect.
    pub(super) collected: SharedState<Vec<u32>>,
    /// Grows where a case wants it to.
    pub(super) ballast: SharedState<String>,
}

node! {
    /// Adds one, and counts.
    pub(super) struct AddOne { pub(super) probe: Probe };
    context = Shared; input = u64; output = u64;
    |ctx, number| {
        self.probe.pass().await;
        ctx.steps.increment();
        Ok(Transition::Next(number + 1))
    }
}

workflow! {
    /// Three nodes that each add one.
    pub(super) struct Chain { pub(super) one: AddOne, pub(super) two: AddOne, pub(super) three: AddOne }
    name = "chain3";
    context = Shared;
    start = one;
    edges { one => [two]; two => [three]; three => []; }
}

impl Chain {
    /// A chain whose nodes pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        let add = || AddOne { probe: probe.clone() };
        Self { one: add(), two: add(), three: add() }
    }
}

/// What a [`Fan`] run does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FanInput {
    /// How many branches.
    pub(super) branches: u32,
    /// The size of each branch's value in bytes.
    #[serde(default)]
    pub(super) bytes: usize,
    /// Branches whose node fails: those divisible by it.
    #[serde(default)]
    pub(super) fail_every: Option<u32>,
}

/// One branch of a [`Fan`] run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Leaf {
    /// Its position.
    pub(super) position: u32,
    /// Whether its node fails.
    pub(super) fails: bool,
    /// Its weight.
    pub(super) ballast: String,
}

node! {
    pub(super) struct Scatter {};
    context = Shared; input = FanInput; output = Leaf;
    |ctx, input| {
        ctx.steps.increment();
        let leaf = |position| Leaf {
            position,
            fails: input.fail_every.is_some_and(|every| position % every == 0),
            ballast: "x".repeat(input.bytes),
        };
        Ok(Transition::NextAll((0..input.branches).map(leaf).collect()))
    }
}

node! {
    pub(super) struct Visit { pub(super) probe: Probe };
    context = Shared; input = Leaf; output = Leaf;
    |ctx, leaf| {
        self.probe.pass().await;
        ctx.steps.increment();
        if leaf.fails {
            return Err(Error::Generic(format!("leaf {} fails", leaf.position)));
        }
        Ok(Transition::Next(leaf))
    }
}

node! {
    pub(super) struct Rescue {};
    context = Shared; input = Leaf; output = Leaf;
    |ctx, leaf| {
        ctx.steps.increment();
        Ok(Transition::Next(leaf))
    }
}

/// What a [`Fan`] run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FanOutput {
    /// The positions, in the order in which the join saw them.
    pub(super) positions: Vec<u32>,
    /// How many steps counted themselves, the join included.
    pub(super) counted: i64,
}

node! {
    pub(super) struct Gather {};
    context = Shared; input = Vec<Leaf>; output = FanOutput;
    |ctx, leaves| {
        ctx.steps.increment();
        let positions = leaves.iter().map(|leaf| leaf.position).collect();
        Ok(Transition::Next(FanOutput { positions, counted: ctx.steps.get() }))
    }
}

workflow! {
    /// A fan-out with a fallback and a join.
    pub(super) struct Fan { pub(super) scatter: Scatter, pub(super) visit: Visit, pub(super) rescue: Rescue, #[gather] pub(super) gather: Gather }
    name = "fan";
    context = Shared;
    start = scatter;
    edges {
        scatter => [visit];
        visit => [gather];
        visit on_failure => {[rescue]};
        rescue => [gather];
        gather => [];
    }
}

impl Fan {
    /// A fan-out whose branches pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        Self {
            scatter: Scatter {},
            visit: Visit { probe: probe.clone() },
            rescue: Rescue {},
            gather: Gather {},
        }
    }
}

workflow! {
    /// A fan-out of which few branches are worked on at a time.
    pub(super) struct Narrow { pub(super) scatter: Scatter, #[at_most = 3] pub(super) visit: Visit, #[gather] pub(super) gather: Gather }
    name = "narrow";
    context = Shared;
    start = scatter;
    edges { scatter => [visit]; visit => [gather]; gather => []; }
}

impl Narrow {
    /// A fan-out whose branches pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        Self { scatter: Scatter {}, visit: Visit { probe: probe.clone() }, gather: Gather {} }
    }
}

node! {
    pub(super) struct Numbers {};
    context = Shared; input = Vec<u64>; output = u64;
    |_ctx, numbers| { Ok(Transition::NextAll(numbers)) }
}

node! {
    pub(super) struct Lost {};
    context = Shared; input = Failure<u64>; output = u64;
    |_ctx, failure| {
        let Failure { input, message, .. } = failure;
        if message.contains("child run") { Ok(Transition::Next(1000 + input)) } else { Err(Error::Generic(message)) }
    }
}

node! {
    pub(super) struct Sum {};
    context = Shared; input = Vec<u64>; output = Vec<u64>;
    |_ctx, numbers| { Ok(Transition::Next(numbers)) }
}

workflow! {
    /// A child run for each number, which may fail.
    pub(super) struct Family {
        pub(super) numbers: Numbers,
        pub(super) child: ChildRun<Shared, Offspring>,
        pub(super) lost: Lost,
        #[gather]
        pub(super) sum: Sum,
    }
    name = "family";
    context = Shared;
    start = numbers;
    edges {
        numbers => [child];
        child => [sum];
        child on_failure => [lost];
        lost => [sum];
        sum => [];
    }
}

node! {
    /// Fails on seven.
    pub(super) struct Picky { pub(super) probe: Probe };
    context = Shared; input = u64; output = u64;
    |_ctx, number| {
        self.probe.pass().await;
        if number == 7 { Err(Error::Generic("not seven".to_owned())) } else { Ok(Transition::Next(number)) }
    }
}

workflow! {
    /// What a child run does.
    pub(super) struct Offspring { pub(super) picky: Picky, pub(super) one: AddOne }
    name = "offspring";
    context = Shared;
    start = picky;
    edges { picky => [one]; one => []; }
}

impl Offspring {
    /// A child whose nodes pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        Self { picky: Picky { probe: probe.clone() }, one: AddOne { probe: probe.clone() } }
    }
}

impl Family {
    /// A family whose children pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        Self { numbers: Numbers {}, child: ChildRun::new(Offspring::new(probe)), lost: Lost {}, sum: Sum {} }
    }
}

node! {
    pub(super) struct Rows {};
    context = Shared; input = Vec<u32>; output = u32;
    |_ctx, rows| { Ok(Transition::NextAll(rows)) }
}

node! {
    pub(super) struct Columns {};
    context = Shared; input = u32; output = u32;
    |_ctx, row| { Ok(Transition::NextAll((0..row).map(|column| row * 10 + column).collect())) }
}

node! {
    pub(super) struct Cell {};
    context = Shared; input = u32; output = u32;
    |_ctx, cell| { Ok(Transition::Next(cell)) }
}

node! {
    pub(super) struct Row {};
    context = Shared; input = Vec<u32>; output = Vec<u32>;
    |_ctx, cells| { Ok(Transition::Next(cells)) }
}

node! {
    pub(super) struct Table {};
    context = Shared; input = Vec<Vec<u32>>; output = Vec<Vec<u32>>;
    |_ctx, rows| { Ok(Transition::Next(rows)) }
}

workflow! {
    /// A fan-out within a fan-out, each with a join of its own.
    pub(super) struct Nested { pub(super) rows: Rows, pub(super) columns: Columns, pub(super) cell: Cell, #[gather] pub(super) row: Row, #[gather] pub(super) table: Table }
    name = "nested";
    context = Shared;
    start = rows;
    edges { rows => [columns]; columns => [cell]; cell => [row]; row => [table]; table => []; }
}

impl Nested {
    /// The workflow.
    pub(super) fn new() -> Self {
        Self { rows: Rows {}, columns: Columns {}, cell: Cell {}, row: Row {}, table: Table {} }
    }
}

node! {
    pub(super) struct Split {};
    context = Shared; input = u32; output = (u32, u32);
    |_ctx, branches| { Ok(Transition::NextAll((0..branches).map(|position| (position, branches)).collect())) }
}

node! {
    pub(super) struct HeldJoin { pub(super) probe: Probe };
    context = Shared; input = (u32, u32); output = u32;
    |ctx, (position, branches)| {
        self.probe.pass().await;
        let mut collected = ctx.collected.get().await;
        collected.push(position);
        if collected.len() < branches as usize {
            return Ok(Transition::Hold);
        }
        Ok(Transition::Next(collected.iter().sum()))
    }
}

node! {
    pub(super) struct Total {};
    context = Shared; input = u32; output = u32;
    |_ctx, total| { Ok(Transition::Next(total)) }
}

workflow! {
    /// A join by hand: append to the context, count, hold until the last.
    pub(super) struct Held { pub(super) split: Split, pub(super) join: HeldJoin, pub(super) total: Total }
    name = "held";
    context = Shared;
    start = split;
    edges { split => [join]; join => [total]; total => []; }
}

impl Held {
    /// A held join whose branches pass `probe`.
    pub(super) fn new(probe: &Probe) -> Self {
        Self { split: Split {}, join: HeldJoin { probe: probe.clone() }, total: Total {} }
    }
}

/// How a [`Trouble`] run ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Ends {
    /// With an output.
    Well,
    /// With an error, after the context was changed.
    Error,
    /// With a panic.
    Panic,
    /// Without an output.
    Held,
    /// With a context of so many bytes.
    Large(usize),
    /// Not at all: it cannot be started.
    Touchy(Touchy),
}

/// A value whose type panics: when it is read where it says `read`, and when it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Touchy;

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        panic!("cannot bear to be written")
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert_ne!(String::deserialize(deserializer)?, "read", "cannot bear to be read");
        Ok(Self)
    }
}

node! {
    pub(super) struct End {};
    context = Shared; input = Ends; output = String;
    |ctx, ends| {
        ctx.steps.increment();
        match ends {
            Ends::Well => Ok(Transition::Next("well".to_owned())),
            Ends::Error => Err(Error::Generic("as told".to_owned())),
            Ends::Panic => panic!("panicked as told"),
            Ends::Held => Ok(Transition::Hold),
            Ends::Large(bytes) => {
                ctx.ballast.set("x".repeat(bytes)).await;
                Ok(Transition::Next("large".to_owned()))
            }
            Ends::Touchy(_) => Ok(Transition::Next("written".to_owned())),
        }
    }
}

workflow! {
    /// One node that ends as it is told.
    pub(super) struct Trouble { pub(super) end: End }
    name = "trouble";
    context = Shared;
    start = end;
    edges { end => []; }
}

impl Trouble {
    /// The workflow.
    pub(super) fn new() -> Self {
        Self { end: End {} }
    }
}
