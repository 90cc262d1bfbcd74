//! A host that can be made to die at any fail point, and that writes down every attempt at a step.
//!
//! Its leases are short, and it sweeps often, so that what a lost one leaves is soon mended.

use anyhow::{Context as _, Result};
use jetway::{
    ChildRun, ChildRuns, Counter, DetachedRun, Host, Merge, Namespace, NatsConfig, SignalType, WaitFor,
    host::{EngineConfig, SystemConfig},
    prelude::*,
    step,
    telemetry::Telemetry,
};
use serde::{Deserialize, Serialize};
use std::{env, fs::OpenOptions, io::Write as _, path::PathBuf, time::Duration};
use tokio::time::{interval, timeout};

/// How long a step waits at its gate.
const PATIENCE: Duration = Duration::from_secs(300);

/// What every node works on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    /// Where attempts are written down, and where gates open.
    dir: PathBuf,
    number: u64,
    /// How large each branch of a fan-out is, in bytes.
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    padding: String,
}

/// Counts the steps that were committed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
struct Tally {
    steps: Counter,
}

impl Tally {
    fn add(&self, job: &Job, node: &str) -> Result<(), Error> {
        self.steps.add(1);
        let step = step().ok_or(Error::NotStarted)?;
        let line = format!("{node} {} {}\n", step.item_id(), step.attempt());
        let log = OpenOptions::new().create(true).append(true).open(job.dir.join("attempts"));
        log.and_then(|mut log| log.write_all(line.as_bytes()))
            .map_err(|error| Error::Generic(error.to_string()))
    }
}

/// Waits until the gate is open.
async fn pass(job: &Job, gate: &str) -> Result<(), Error> {
    let gate = job.dir.join(gate);
    let open = async {
        let mut looks = interval(Duration::from_millis(10));
        while !gate.exists() {
            looks.tick().await;
        }
    };
    timeout(PATIENCE, open).await.map_err(|_elapsed| Error::Generic(format!("{gate:?} stays shut")))
}

fn next(job: Job) -> Transition<Job> {
    Transition::Next(Job { number: job.number + 1, ..job })
}

node! { struct One; context = Tally; input = Job; output = Job; |tally, job| { tally.add(&job, "one")?; Ok(next(job)) } }
node! { struct Two; context = Tally; input = Job; output = Job; |tally, job| { tally.add(&job, "two")?; Ok(next(job)) } }
node! {
    struct Three; context = Tally; input = Job; output = Vec<i64>;
    |tally, job| { tally.add(&job, "three")?; Ok(Transition::Next(vec![job.number.cast_signed(), tally.steps.get()])) }
}

workflow! {
    /// Three steps, one after the other.
    #[derive(Clone)]
    struct Chain { one: One, two: Two, three: Three }
    name = "chain"; context = Tally; start = one;
    edges { one => [two]; two => [three]; three => []; }
}

node! {
    struct Doze; context = Tally; input = Job; output = Job;
    |tally, job| {
        tally.add(&job, "doze")?;
        Ok(Transition::NextAfter(Duration::from_millis(700), Job { number: job.number + 1, ..job }))
    }
}

workflow! {
    /// Three steps, with a wait before the second.
    struct Sleep { doze: Doze, two: Two, three: Three }
    name = "sleep"; context = Tally; start = doze;
    edges { doze => [two]; two => [three]; three => []; }
}

node! {
    struct Again; context = Tally; input = Job; output = Vec<i64>;
    |tally, job| {
        tally.add(&job, "again")?;
        Ok(match job.number {
            ..12 => Transition::ContinueAsNew(job.into()),
            number => Transition::Next(vec![number.cast_signed(), tally.steps.get()]),
        })
    }
}

workflow! {
    /// Two steps, and then again as new.
    struct Rounds { one: One, again: Again }
    name = "rounds"; context = Tally; start = one;
    edges { one => [again]; again => []; }
}

node! {
    struct Rest; context = Tally; input = Job; output = Job;
    |tally, job| { tally.add(&job, "rest")?; Ok(Transition::NextAfter(Duration::from_secs(3600), job)) }
}
node! { struct Undo; context = Tally; input = Job; output = (); |tally, job| { tally.add(&job, "undo")?; Ok(Transition::Next(())) } }

workflow! {
    /// A run that sleeps for an hour, with a clean-up.
    struct Stay { rest: Rest, three: Three, undo: Undo }
    name = "stay"; context = Tally; start = rest;
    edges { rest => [three]; three => []; three on_cancel => [undo]; undo => []; }
}

workflow! {
    /// A run that sleeps for an hour, and has to be done much earlier.
    struct Late { rest: Rest, three: Three }
    name = "late"; context = Tally; start = rest; deadline = "2 s";
    edges { rest => [three]; three => []; }
}

/// Waits for the signal `number` and adds it. Nobody waits for `spare`.
#[derive(Debug, Clone)]
struct Ask {}

#[async_trait::async_trait]
impl Node<Tally> for Ask {
    type Input = Job;
    type Output = Job;

    async fn process(&self, tally: &Tally, job: Job) -> Result<Transition<Job>, Error> {
        tally.add(&job, "ask")?;
        let Some(answer) = step().and_then(|step| step.answer()) else {
            return Ok(Transition::WaitFor(WaitFor::signal("number")));
        };
        let number = answer.signal("number").map(|signal| signal.payload::<u64>()).transpose()?;
        Ok(Transition::Next(Job { number: job.number + number.unwrap_or_default(), ..job }))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<u64>("number"), SignalType::of::<()>("spare")]
    }
}

workflow! {
    /// Three steps, the first of which waits for a signal.
    struct Asked { ask: Ask, two: Two, three: Three }
    name = "asked"; context = Tally; start = ask;
    edges { ask => [two]; two => [three]; three => []; }
}

node! {
    struct Split; context = Tally; input = Job; output = Job;
    |tally, job| {
        tally.add(&job, "split")?;
        let padding = "x".repeat(job.bytes);
        Ok(Transition::NextAll((0..job.number).map(|number| Job { number, padding: padding.clone(), ..job.clone() }).collect()))
    }
}
node! {
    struct Double; context = Tally; input = Job; output = Job;
    |tally, job| { tally.add(&job, "double")?; Ok(Transition::Next(Job { number: job.number * 2, ..job })) }
}
node! {
    struct Sum; context = Tally; input = Vec<Job>; output = Vec<i64>;
    |tally, jobs| {
        if let Some(job) = jobs.first() {
            tally.add(job, "sum")?;
        }
        let sum: u64 = jobs.iter().map(|job| job.number).sum();
        Ok(Transition::Next(vec![sum.cast_signed(), tally.steps.get()]))
    }
}

workflow! {
    /// As many branches as the number says, and a join.
    struct Fan { split: Split, double: Double, #[gather] sum: Sum }
    name = "fan"; context = Tally; start = split;
    edges { split => [double]; double => [sum]; sum => []; }
}

node! { struct First; context = Tally; input = Job; output = Job; |tally, job| { tally.add(&job, "first")?; pass(&job, "first").await?; Ok(next(job)) } }
node! { struct Second; context = Tally; input = Job; output = Job; |tally, job| { tally.add(&job, "second")?; pass(&job, "second").await?; Ok(next(job)) } }
node! { struct Third; context = Tally; input = Job; output = Job; |tally, job| { tally.add(&job, "third")?; pass(&job, "third").await?; Ok(next(job)) } }

workflow! {
    /// Three steps, each behind a gate.
    #[derive(Clone)]
    struct Gated { first: First, second: Second, third: Third }
    name = "gated"; context = Tally; start = first;
    edges { first => [second]; second => [third]; third => []; }
}

workflow! {
    /// A child run for each branch.
    struct Family { split: Split, child: ChildRun<Tally, Gated>, #[gather] sum: Sum }
    name = "family"; context = Tally; start = split;
    edges { split => [child]; child => [sum]; sum => []; }
}

workflow! {
    /// Starts a child run in its last step.
    struct Detach { one: One, start: DetachedRun<Tally, Chain> }
    name = "detach"; context = Tally; start = one;
    edges { one => [start]; start => []; }
}

node! {
    struct Lots; context = Tally; input = Job; output = Vec<Job>;
    |tally, job| {
        tally.add(&job, "lots")?;
        Ok(Transition::Next((0..job.number).map(|number| Job { number, ..job.clone() }).collect()))
    }
}

workflow! {
    /// As many child runs as the number says, two at once.
    struct Batch { lots: Lots, all: ChildRuns<Tally, Chain> }
    name = "batch"; context = Tally; start = lots;
    edges { lots => [all]; all => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    let _telemetry = Telemetry::new("crash-host").init()?;
    let url = env::var("NATS_URL").context("NATS_URL is not set")?;
    let namespace = Namespace::new(&env::var("JETWAY_NAMESPACE").context("JETWAY_NAMESPACE is not set")?)?;
    let nats =
        NatsConfig { ack_wait: Duration::from_secs(3), ..NatsConfig::new(url).in_namespace(namespace) };
    let host = format!("crash-host-{}", std::process::id());
    let system = SystemConfig {
        sweep_every: Duration::from_millis(500),
        drain_limit: Duration::from_millis(50),
        ..SystemConfig::new(host)
    };
    let engine = EngineConfig { stale_after: Duration::from_secs(1), ..EngineConfig::default() };
    let chain = || Chain { one: One {}, two: Two {}, three: Three {} };
    let gated = || Gated { first: First {}, second: Second {}, third: Third {} };
    Host::builder()
        .nats_config(nats)
        .system_config(system)
        .engine_config(engine)
        .workflow(chain())
        .workflow(Detach { one: One {}, start: ChildRun::new(chain()).detached() })
        .workflow(Batch { lots: Lots {}, all: ChildRun::new(chain()).start_many(2) })
        .workflow(Sleep { doze: Doze {}, two: Two {}, three: Three {} })
        .workflow(Stay { rest: Rest {}, three: Three {}, undo: Undo {} })
        .workflow(Rounds { one: One {}, again: Again {} })
        .workflow(Late { rest: Rest {}, three: Three {} })
        .workflow(Asked { ask: Ask {}, two: Two {}, three: Three {} })
        .workflow(Fan { split: Split {}, double: Double {}, sum: Sum {} })
        .workflow(gated())
        .workflow(Family { split: Split {}, child: ChildRun::new(gated()), sum: Sum {} })
        .build()
        .await?
        .run()
        .await?;
    Ok(())
}
