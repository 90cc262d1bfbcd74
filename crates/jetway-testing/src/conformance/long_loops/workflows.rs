//! The workflows of these cases: loops that continue as new.

use super::super::TestHost;
use jetway_core::{Answer, ChildRun, Counter, Error, Failure, Node, SignalType, Transition, WaitFor, step};
use jetway_engine::{Engine, EngineConfig, backend::Backend};
use jetway_macros::{node, workflow};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// What nodes have done, and are to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    turns: Arc<AtomicU64>,
    /// Whether the host is lost.
    pub(super) dies: Arc<AtomicBool>,
    /// Whether it is not lost any more.
    pub(super) safe: Arc<AtomicBool>,
}

impl Counts {
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(SeqCst)
    }
}

/// How often a run continues as new, and the size of its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Laps {
    pub(super) left: u32,
    pub(super) bytes: usize,
}

/// A large value between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lap {
    laps: Laps,
    ballast: Vec<String>,
}

node! {
    struct Count {};
    context = Counter; input = Laps; output = Lap;
    |ctx, laps| {
        ctx.add(1);
        // Several values of a size that is kept beside the record.
        let ballast = (0..8).map(|nth| nth.to_string().repeat(laps.bytes / 8)).collect();
        Ok(Transition::Next(Lap { laps, ballast }))
    }
}

node! {
    struct Again {};
    context = Counter; input = Lap; output = Vec<i64>;
    |ctx, lap| {
        Ok(match lap.laps.left {
            0 => Transition::Next(vec![ctx.get()]),
            left => Transition::ContinueAsNew(Laps { left: left - 1, ..lap.laps }.into()),
        })
    }
}

workflow! {
    /// Continues as new so often, with a context that counts its steps.
    struct Track { count: Count, again: Again }
    name = "laps";
    context = Counter;
    start = count;
    edges { count => [again]; again => []; }
}

workflow! {
    struct AsksLaps { child: ChildRun<Counter, Track> }
    name = "asks-laps";
    context = Counter;
    start = child;
    edges { child => []; }
}

/// The signals that a run has taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Collected {
    pub(super) taken: u64,
    pub(super) in_order: bool,
    all: u64,
    each: u64,
    in_this: u64,
}

impl Collected {
    pub(super) fn of(all: u64, each: u64) -> Self {
        Self { taken: 0, in_order: true, all, each, in_this: 0 }
    }
}

/// What becomes of a run that has taken a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Next {
    More(Collected),
    Done(Collected),
}

#[derive(Debug, Clone)]
struct Take;

#[async_trait::async_trait]
impl Node for Take {
    type Input = Collected;
    type Output = Next;

    async fn process(&self, _ctx: &(), mut collected: Collected) -> Result<Transition<Next>, Error> {
        let Some(Answer::Signals(signals)) = step().and_then(|step| step.answer()) else {
            return Ok(Transition::WaitFor(WaitFor::signal("number")));
        };
        for signal in signals {
            collected.taken += 1;
            collected.in_order &= signal.payload::<u64>()? == collected.taken;
            collected.in_this += 1;
        }
        Ok(if collected.taken == collected.all {
            Transition::Next(Next::Done(collected))
        } else if collected.in_this == collected.each {
            Transition::ContinueAsNew(Collected { in_this: 0, ..collected }.into())
        } else {
            Transition::Next(Next::More(collected))
        })
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<u64>("number")]
    }
}

node! { struct Keep {}; input = Collected; output = Collected; |_ctx, collected| { Ok(Transition::Next(collected)) } }

workflow! {
    /// Takes signals, and continues as new after so many.
    struct Collect { take: Take, keep: Keep }
    name = "collect";
    start = take;
    edges { take => { Next::More(more) => [take]; Next::Done(done) => [keep]; }; keep => []; }
}

node! {
    struct Turn { turns: Arc<AtomicU64> };
    input = (); output = ();
    |_ctx, _nothing| {
        self.turns.fetch_add(1, SeqCst);
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(Transition::ContinueAsNew(().into()))
    }
}

workflow! {
    /// Continues as new for ever.
    struct Wheel { turn: Turn }
    name = "wheel";
    start = turn;
    edges { turn => []; }
}

workflow! { struct Keeper { child: ChildRun<(), Wheel> } name = "keeper"; start = child; edges { child => []; } }

node! {
    struct Split {};
    input = u64; output = u64;
    |_ctx, branches| {
        if branches == 0 {
            return Ok(Transition::ContinueAsNew("not a number".to_owned().into()));
        }
        Ok(Transition::NextAll((0..branches).collect()))
    }
}

node! {
    struct AgainAtOnce {};
    input = u64; output = u64;
    |_ctx, branch| {
        if branch == 0 {
            return Ok(Transition::ContinueAsNew(7_u64.into()));
        }
        // The others stay open until that has failed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Transition::Next(branch))
    }
}

node! { struct Rescue {}; input = Failure<u64>; output = u64; |_ctx, failure| { Ok(Transition::Next(failure.input)) } }
node! { struct All {}; input = Vec<u64>; output = u64; |_ctx, all| { Ok(Transition::Next(all.iter().sum())) } }

workflow! {
    struct Wide { split: Split, again: AgainAtOnce, #[gather] all: All }
    name = "wide";
    start = split;
    edges { split => [again]; again => [all]; all => []; }
}

workflow! {
    struct WideRescued { split: Split, again: AgainAtOnce, rescue: Rescue, #[gather] all: All }
    name = "wide-rescued";
    start = split;
    edges { split => [again]; again => [all]; again on_failure => [rescue]; rescue => [all]; all => []; }
}

node! {
    /// Its host is lost right after the step is committed.
    struct Die { counts: Counts };
    input = u64; output = u64;
    |_ctx, left| {
        if !self.counts.safe.load(SeqCst) {
            self.counts.dies.store(true, SeqCst);
        }
        Ok(match left {
            0 => Transition::Next(0),
            left => Transition::ContinueAsNew((left - 1).into()),
        })
    }
}

workflow! { struct Dying { die: Die } name = "dying"; start = die; edges { die => []; } }

pub(super) fn host(backend: &Arc<dyn Backend>, counts: &Counts) -> TestHost {
    let wheel = Wheel { turn: Turn { turns: Arc::clone(&counts.turns) } };
    let track = || Track { count: Count {}, again: Again {} };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(track())
        .workflow(AsksLaps { child: ChildRun::new(track()) })
        .workflow(Collect { take: Take, keep: Keep {} })
        .workflow(Keeper { child: ChildRun::new(wheel.clone()) })
        .workflow(wheel)
        .workflow(Wide { split: Split {}, again: AgainAtOnce {}, all: All {} })
        .workflow(WideRescued { split: Split {}, again: AgainAtOnce {}, rescue: Rescue {}, all: All {} })
        .workflow(Dying { die: Die { counts: counts.clone() } });
    TestHost::of(engine.build().expect("the workflows are sound"))
}
