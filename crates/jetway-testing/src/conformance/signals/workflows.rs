//! The workflow of these cases: items that ask for signals.

use super::super::TestHost;
use futures::future::BoxFuture;
use jetway_core::{Answer, Error, Node, SignalType, Transition, WaitFor, clock::Clock, step};
use jetway_engine::{Engine, EngineConfig, backend::Backend};
use jetway_macros::{node, workflow};
use jetway_state::Timestamp;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What an item asks for, and what it got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Ask {
    /// The names of the signals.
    names: Vec<String>,
    all: bool,
    /// The deadline of the first wait, in milliseconds.
    millis: Option<u64>,
    /// The names of the next waits.
    next: Vec<String>,
    /// How often it asks.
    left: usize,
    /// What came: the signals as `name=payload`, or `-` for a deadline.
    got: Vec<String>,
    /// Waits at the gate with each answer.
    slow: bool,
}

impl Ask {
    pub(super) fn one(name: &str) -> Self {
        Self { names: vec![name.to_owned()], left: 1, ..Self::default() }
    }

    pub(super) fn within(name: &str, millis: u64) -> Self {
        Self { millis: Some(millis), ..Self::one(name) }
    }

    pub(super) fn of_all(names: &[&str]) -> Self {
        Self { names: names.iter().map(ToString::to_string).collect(), all: true, left: 1, ..Self::default() }
    }

    /// Asks so often for the same.
    pub(super) fn times(self, left: usize) -> Self {
        Self { left, ..self }
    }

    /// Waits at the gate with each answer.
    pub(super) fn slow(self) -> Self {
        Self { slow: true, ..self }
    }

    /// Asks for these one after the other then.
    pub(super) fn then(self, names: &[&str]) -> Self {
        let next: Vec<_> = names.iter().map(ToString::to_string).collect();
        Self { left: next.len() + 1, next, ..self }
    }
}

/// The payload of the signal `note`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    marks: Vec<u8>,
}

/// An item that has got an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Asked {
    Again(Ask),
    Done(Vec<String>),
}

/// Nodes wait here until a test lets them go on.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    entered: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { entered: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }
}

impl Gate {
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until so many nodes wait here.
    pub(super) async fn entered(&self, nodes: usize) {
        let mut entered = self.entered.subscribe();
        entered.wait_for(|waiting| *waiting >= nodes).await.expect("the gate is there");
    }

    async fn pass(&self) {
        self.entered.send_modify(|entered| *entered += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the gate is there");
    }
}

node! {
    struct Split {};
    input = Vec<Ask>; output = Ask;
    |_ctx, asks| { Ok(Transition::NextAll(asks)) }
}

#[derive(Debug, Clone)]
struct Asking {
    gate: Gate,
}

#[async_trait::async_trait]
impl Node for Asking {
    type Input = Ask;
    type Output = Asked;

    async fn process(&self, _ctx: &(), mut ask: Ask) -> Result<Transition<Asked>, Error> {
        let Some(answer) = step().and_then(|step| step.answer()) else {
            let wait = if ask.all { WaitFor::all_of(ask.names) } else { WaitFor::first_of(ask.names) };
            let within = ask.millis.map(Duration::from_millis);
            return Ok(Transition::WaitFor(match within {
                Some(deadline) => wait.within(deadline),
                None => wait,
            }));
        };
        if ask.slow {
            self.gate.pass().await;
        }
        match answer {
            Answer::DeadlinePassed => ask.got.push("-".to_owned()),
            Answer::Signals(signals) => {
                for signal in signals {
                    ask.got.push(format!("{}={}", signal.name, signal.payload::<u64>()?));
                }
            }
        }
        ask.left -= 1;
        if ask.left == 0 {
            return Ok(Transition::Next(Asked::Done(ask.got)));
        }
        if !ask.next.is_empty() {
            ask.names = vec![ask.next.remove(0)];
        }
        ask.millis = None;
        Ok(Transition::Next(Asked::Again(ask)))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<u64>("x"), SignalType::of::<u64>("y"), SignalType::of::<Note>("note")]
    }
}

node! {
    struct All {};
    input = Vec<Vec<String>>; output = Vec<Vec<String>>;
    |_ctx, got| { Ok(Transition::Next(got)) }
}

workflow! {
    struct Asks { split: Split, asking: Asking, #[gather] all: All }
    name = "ask";
    start = split;
    edges {
        split => [asking];
        asking => { Asked::Again(ask) => [asking]; Asked::Done(got) => [all]; };
        all => [];
    }
}

/// A clock that is behind another one.
#[derive(Debug)]
struct Behind(Arc<dyn Clock>, Duration);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        self.0.now().before(self.1)
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        self.0.sleep_until(time.after(self.1))
    }
}

pub(super) fn host(backend: &Arc<dyn Backend>) -> TestHost {
    host_with(backend, &Gate::default(), None)
}

/// A host whose nodes wait at a gate, and whose clock is behind.
pub(super) fn host_with(backend: &Arc<dyn Backend>, gate: &Gate, behind: Option<Duration>) -> TestHost {
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(Asks { split: Split {}, asking: Asking { gate: gate.clone() }, all: All {} });
    let engine = match behind {
        Some(behind) => engine.clock(Arc::new(Behind(backend.clock(), behind))),
        None => engine,
    };
    TestHost::of(engine.build().expect("the workflows are sound"))
}
