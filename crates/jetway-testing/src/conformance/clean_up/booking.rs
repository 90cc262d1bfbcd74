//! The workflows of these cases, and what they write down.

use super::{BackendUnderTest, DEADLINE, LONG};
use crate::wait_until;
use jetway_core::{
    BackoffStrategy, ChildRun, Exhausted, RetryError, RetryPolicy, Transition, clock::Clock, step,
};
use jetway_engine::{Engine, EngineConfig, backend::Backend};
use jetway_macros::{node, workflow};
use jetway_state::{Error, RunKey, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often a step is tried before a person is asked.
const ATTEMPTS: usize = 3;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// How long the run sleeps before it pays, in milliseconds.
    pub(super) sleep: u64,
    pub(super) pay: Pay,
    pub(super) undo: Undo,
}

/// What the step under way does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Pay {
    /// It waits until it is asked to stop, and succeeds.
    Succeeds,
    /// It waits until it is asked to stop, and fails.
    Fails,
    /// It takes so many milliseconds, whatever it is asked.
    Takes(u64),
    /// It is to be tried again later.
    Busy,
}

/// What the clean-up does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Undo {
    Once,
    /// It fails for good.
    Fails,
    /// It fails, is tried again, and sleeps.
    Again,
    /// It sleeps for ten minutes.
    Sleeps,
    /// It fails until a person asks for another attempt.
    WhenAsked,
}

/// What was done, with the run that it was done for.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) clock: Arc<dyn Clock>,
    done: Arc<Mutex<Vec<(String, String, Timestamp)>>>,
}

impl Log {
    pub(super) fn new(tested: &BackendUnderTest) -> Self {
        Self { clock: tested.backend.clock(), done: Arc::default() }
    }

    fn add(&self, what: &str) {
        let run = step().map(|step| step.run().run_id.to_string()).unwrap_or_default();
        let now = self.clock.now();
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((run, what.to_owned(), now));
    }

    /// How often something was done for the run of this step.
    fn count(&self, what: &str) -> usize {
        let run = step().map(|step| step.run().clone());
        run.map_or(0, |run| self.of(&run).iter().filter(|done| *done == what).count())
    }

    pub(super) fn all(&self) -> Vec<(String, String, Timestamp)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was done for a run, in order.
    pub(super) fn of(&self, run: &RunKey) -> Vec<String> {
        let of_run = self.all().into_iter().filter(|(of, ..)| *of == run.run_id.as_str());
        of_run.map(|(_, what, _)| what).collect()
    }

    pub(super) fn time_of(&self, what: &str) -> Timestamp {
        self.all().into_iter().find(|(_, done, _)| done == what).expect("it was done").2
    }

    pub(super) async fn wait_for(&self, run: &RunKey, what: &str) {
        wait_until(what, DEADLINE, async || self.of(run).iter().any(|done| done == what)).await;
    }
}

node! {
    struct Reserve { log: Log };
    input = Job; output = Job;
    |_ctx, job| {
        self.log.add("reserve");
        Ok(Transition::NextAfter(Duration::from_millis(job.sleep), job))
    }
}

node! {
    struct PayNode { log: Log };
    input = Job; output = u32;
    |_ctx, job| {
        self.log.add("pay");
        if let Pay::Takes(millis) = job.pay {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            return Ok(Transition::Next(1));
        }
        if job.pay == Pay::Busy {
            return Err(Error::RetryAfter { message: "busy".to_owned(), after: LONG });
        }
        if let Some(step) = step() {
            step.cancel_token().cancelled().await;
        }
        self.log.add("asked");
        if job.pay == Pay::Succeeds { Ok(Transition::Next(1)) } else { Err(Error::Generic("stopped".to_owned())) }
    }
}

node! {
    struct Refund { log: Log };
    input = Job; output = Job;
    |_ctx, job| {
        self.log.add("refund");
        let attempt = step().map_or(0, |step| step.attempt());
        match job.undo {
            Undo::Once => Ok(Transition::Next(job)),
            Undo::Fails => Err(Error::Terminal("no such payment".to_owned())),
            Undo::Again if attempt == 1 => Err(Error::Generic("busy".to_owned())),
            Undo::Again => Ok(Transition::NextAfter(Duration::from_millis(500), job)),
            Undo::Sleeps => Ok(Transition::NextAfter(LONG, job)),
            // All attempts that the policy allows.
            Undo::WhenAsked if self.log.count("refund") <= ATTEMPTS => Err(Error::Generic("no money".to_owned())),
            Undo::WhenAsked => Ok(Transition::Next(job)),
        }
    }
}

node! {
    struct Release { log: Log };
    input = Job; output = String;
    |_ctx, _job| {
        self.log.add("release");
        Ok(Transition::Next("released".to_owned()))
    }
}

node! {
    pub(super) struct Write { pub(super) log: Log };
    input = String; output = ();
    |_ctx, _text| {
        self.log.add("letter");
        Ok(Transition::Next(()))
    }
}

workflow! {
    /// What the clean-up starts as a run of its own.
    pub(super) struct Letter { pub(super) write: Write }
    name = "letter";
    start = write;
    edges { write => []; }
}

workflow! {
    struct Booking {
        reserve: Reserve,
        #[retry = policy]
        pay: PayNode,
        #[retry = policy]
        refund: Refund,
        release: Release,
        letter: ChildRun<(), Letter>,
        policy: RetryPolicy,
    }
    name = "booking";
    start = reserve;
    edges {
        reserve => [pay];
        pay => [];
        reserve on_cancel => [release];
        pay on_cancel => [refund];
        refund => [release];
        release => [letter];
        letter => [];
    }
}

node! {
    struct Scatter {};
    input = u32; output = Job;
    |_ctx, branches| {
        let job = Job { sleep: 0, pay: Pay::Succeeds, undo: Undo::Once };
        Ok(Transition::NextAll((0..branches).map(|_| job.clone()).collect()))
    }
}

node! { struct All {}; input = Vec<u32>; output = u32; |_ctx, all| { Ok(Transition::Next(all.iter().sum())) } }

workflow! {
    /// One branch runs at a time, and each has a clean-up.
    struct Tour { scatter: Scatter, #[at_most = 1] pay: PayNode, #[at_most = 2] refund: Refund, #[gather] all: All }
    name = "tour";
    start = scatter;
    edges { scatter => [pay]; pay => [all]; pay on_cancel => [refund]; refund => []; all => []; }
}

workflow! {
    /// Without clean-up.
    struct Plain { pay: PayNode }
    name = "plain";
    start = pay;
    edges { pay => []; }
}

pub(super) fn engine(backend: &Arc<dyn Backend>, log: &Log, config: EngineConfig) -> Engine {
    let letter = Letter { write: Write { log: log.clone() } };
    let first = Duration::from_millis(300);
    let policy = RetryPolicy::new(ATTEMPTS, first, LONG, BackoffStrategy::Exponential, RetryError::Generic)
        .exhausted(Exhausted::Pause);
    let (pay, refund) = (|| PayNode { log: log.clone() }, || Refund { log: log.clone() });
    let engine = Engine::builder(Arc::clone(backend))
        .config(config)
        .workflow(letter.clone())
        .workflow(Plain { pay: pay() })
        .workflow(Tour { scatter: Scatter {}, pay: pay(), refund: refund(), all: All {} })
        .workflow(Booking {
            reserve: Reserve { log: log.clone() },
            pay: pay(),
            refund: refund(),
            release: Release { log: log.clone() },
            letter: ChildRun::new(letter),
            policy,
        });
    engine.build().expect("the workflows are sound")
}
