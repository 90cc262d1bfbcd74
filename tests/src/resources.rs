//! Workflows that take up as much as they are told to.

use jetway::{
    SharedState, Transition,
    merge::{Counter, List},
    node, workflow,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

/// What a run of [`Work`] does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The weight of the input itself.
    pub ballast: String,
    /// How many branches.
    pub branches: u32,
    /// How many milliseconds each branch takes.
    #[serde(default)]
    pub branch_millis: u64,
    /// The size of the value of each branch in bytes.
    pub branch_bytes: usize,
    /// The size of what is put into the context, in bytes.
    pub context_bytes: usize,
    /// The output, so many times over.
    pub output: (String, usize),
}

impl Job {
    /// A job that nothing stands in the way of.
    pub fn ordinary() -> Self {
        Self { branches: 3, branch_bytes: 10, output: ("done ".to_owned(), 1), ..Self::default() }
    }
}

/// What the nodes of a run share.
#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
pub struct Shared {
    /// How many branches were visited.
    pub visited: Counter,
    /// Weight.
    pub ballast: SharedState<String>,
}

/// One branch of a [`Work`] run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    position: u32,
    millis: u64,
    ballast: String,
    output: (String, usize),
}

node! {
    /// Opens the branches.
    pub struct Scatter {};
    context = Shared; input = Job; output = Leaf;
    |ctx, job| {
        if job.context_bytes > 0 {
            ctx.ballast.set("c".repeat(job.context_bytes)).await;
        }
        let leaf = |position| Leaf {
            position,
            millis: job.branch_millis,
            ballast: "b".repeat(job.branch_bytes),
            output: job.output.clone(),
        };
        Ok(Transition::NextAll((0..job.branches).map(leaf).collect()))
    }
}

node! {
    /// Counts itself, in the run and on its host.
    pub struct Visit { on_host: Arc<AtomicU32> };
    context = Shared; input = Leaf; output = Leaf;
    |ctx, leaf| {
        self.on_host.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(leaf.millis)).await;
        ctx.visited.increment();
        Ok(Transition::Next(leaf))
    }
}

/// What a [`Work`] run puts out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How many branches arrived.
    pub arrived: usize,
    /// Whether they arrived in the order of the fan-out.
    pub in_order: bool,
    /// How many bytes they brought.
    pub bytes: usize,
    /// How many branches counted themselves.
    pub visited: i64,
    /// The weight of the output.
    pub text: String,
}

node! {
    /// Goes on with all of them.
    pub struct Gather {};
    context = Shared; input = Vec<Leaf>; output = Report;
    |ctx, leaves| {
        let (text, times) = leaves.first().map(|leaf| leaf.output.clone()).unwrap_or_default();
        Ok(Transition::Next(Report {
            arrived: leaves.len(),
            in_order: leaves.iter().zip(0..).all(|(leaf, position)| leaf.position == position),
            bytes: leaves.iter().map(|leaf| leaf.ballast.len()).sum(),
            visited: ctx.visited.get(),
            text: text.repeat(times),
        }))
    }
}

workflow! {
    /// A fan-out with a join, of any size.
    pub struct Work { scatter: Scatter, visit: Visit, #[gather] gather: Gather }
    name = "work";
    context = Shared;
    start = scatter;
    edges { scatter => [visit]; visit => [gather]; gather => []; }
}

/// The workflow `work`.
pub fn work() -> Work {
    work_that_counts(&Arc::default())
}

/// The workflow `work`. Adds the branches that are executed on this host to `visits`.
pub fn work_that_counts(visits: &Arc<AtomicU32>) -> Work {
    Work { scatter: Scatter {}, visit: Visit { on_host: Arc::clone(visits) }, gather: Gather {} }
}

/// How a [`Grow`] run grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// How many bytes each step adds to the context.
    pub bytes: usize,
    /// How many steps there are to be; the context holds one text for each.
    pub steps: u32,
}

/// A context that grows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
pub struct Growing {
    texts: List<String>,
}

/// Whether to go on.
#[derive(Debug, Clone)]
pub enum Grown {
    /// Not there yet.
    Again(Growth),
    /// As large as it should be.
    Enough(u32),
}

node! {
    /// Appends to the context.
    pub struct Append {};
    context = Growing; input = Growth; output = Grown;
    |ctx, growth| {
        ctx.texts.push("g".repeat(growth.bytes));
        Ok(Transition::Next(match growth.steps.checked_sub(1) {
            Some(0) | None => Grown::Enough(0),
            Some(steps) => Grown::Again(Growth { steps, ..growth }),
        }))
    }
}

node! {
    /// How many texts there are.
    pub struct Measure {};
    context = Growing; input = u32; output = usize;
    |ctx, _rest| { Ok(Transition::Next(ctx.texts.len())) }
}

workflow! {
    /// A loop that appends to the context at each turn.
    pub struct Grow { append: Append, measure: Measure }
    name = "grow";
    context = Growing;
    start = append;
    edges {
        append => {
            Grown::Again(growth) => [append];
            Grown::Enough(rest) => [measure];
        };
        measure => [];
    }
}

/// The workflow `grow`.
pub fn grow() -> Grow {
    Grow { append: Append {}, measure: Measure {} }
}

node! {
    /// Asks for more memory than there is, which ends the process.
    pub struct Devour {};
    context = (); input = usize; output = usize;
    |_ctx, bytes| {
        let memory: Vec<u8> = Vec::with_capacity(bytes);
        Ok(Transition::Next(memory.capacity()))
    }
}

workflow! {
    /// One node that takes its host down where it asks for too much.
    pub struct Hungry { devour: Devour }
    name = "hungry";
    context = ();
    start = devour;
    edges { devour => []; }
}

/// The workflow `hungry`.
pub fn hungry() -> Hungry {
    Hungry { devour: Devour {} }
}
