//! Starting runs, in every way that there is, and waiting for their results.

use crate::{
    Error,
    program::{Frame, Op, Taste},
    runs::Runs,
};
use jetway::{
    Client, RunId, RunKey, WorkflowName,
    client::{ClientError, StartOptions},
    engine::Control,
    run::DoneView,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

/// How many runs are under way at once.
const IN_FLIGHT: usize = 48;

/// How long a start may take to be acknowledged, faults included.
const START_WITHIN: Duration = Duration::from_secs(60);

/// The pause between two tries of a call that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How a run ended for the one who started it.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub run: RunKey,
    /// Its result; an error where none came in time.
    pub result: Result<DoneView, ClientError>,
}

/// What drives the runs of an act.
#[derive(Debug, Clone)]
pub struct Driver {
    /// Starts and asks, on a line of its own that nothing happens to but what happens to the server.
    pub client: Client,
    /// The runs.
    pub runs: Arc<Runs>,
    /// When everything must have ended, at the latest.
    pub give_up: Instant,
}

/// The program of a run.
pub fn program(seed: u64) -> Vec<Op> {
    let mut rng = StdRng::seed_from_u64(seed);
    let taste = Taste {
        size: rng.random_range(1..60),
        depth: rng.random_range(0..=3),
        uncaught: rng.random_ratio(1, 8),
    };
    Op::random(&mut rng, taste)
}

impl Driver {
    /// Starts runs until `end`, or `most` of them; then waits for their results.
    pub async fn drive(&self, mut rng: impl Rng, end: Instant, most: u64) -> Vec<Ended> {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut under_way = JoinSet::new();
        let mut ended = Vec::new();
        for _ in 0..most {
            let slot = tokio::time::timeout_at(end, Arc::clone(&slots).acquire_owned());
            let Ok(Ok(slot)) = slot.await else { break };
            let (driver, seed) = (self.clone(), rng.random());
            under_way.spawn(async move {
                let ended = driver.one(seed).await;
                drop(slot);
                ended
            });
            while let Some(joined) = under_way.try_join_next() {
                ended.extend(joined.ok());
            }
        }
        while let Some(joined) = under_way.join_next().await {
            ended.extend(joined.ok());
        }
        ended
    }

    /// One run from its start to its result.
    async fn one(&self, seed: u64) -> Ended {
        let mut rng = StdRng::seed_from_u64(!seed);
        let run = match run_key(seed) {
            Ok(run) => run,
            Err(error) => panic!("a number is no name: {error}"),
        };
        self.runs.begin(&run, seed);
        let input = Frame::new(program(seed));
        if let Err(error) = self.start(&run, &input, rng.random()).await {
            return Ended { run, result: Err(error) };
        }
        self.runs.acknowledged(&run);
        if rng.random_ratio(1, 16) {
            // Once more, as somebody does who did not hear the answer: it is the same run.
            self.start(&run, &input, rng.random()).await.err();
        }
        self.tell(&run, &mut rng).await;
        let result = self.client.result(&run, self.give_up.saturating_duration_since(Instant::now())).await;
        self.runs.ended(&run);
        Ended { run, result }
    }

    /// Starts a run until it is acknowledged, by a message or by a request.
    async fn start(&self, run: &RunKey, input: &Frame, by_request: bool) -> Result<(), ClientError> {
        let options = StartOptions::named(run.run_id.clone());
        let workflow = run.workflow.as_str();
        let end = Instant::now() + START_WITHIN;
        loop {
            let started = match by_request {
                true => self.client.start(workflow, input, &options).await,
                false => self.client.publish_start(workflow, input, &options).await,
            };
            match started {
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Pauses and resumes some runs, and cancels a few.
    async fn tell(&self, run: &RunKey, rng: &mut impl Rng) {
        match rng.random_range(0..40) {
            0 | 1 => {
                self.pause_for(rng.random_range(1..800)).await;
                self.runs.paused(run);
                self.insist(run, Control::Pause).await;
                self.pause_for(rng.random_range(1..1500)).await;
                self.insist(run, Control::Resume).await;
            }
            2 => {
                self.pause_for(rng.random_range(1..300)).await;
                self.runs.cancelled(run);
                self.insist(run, Control::Cancel).await;
            }
            _ => {}
        }
    }

    async fn pause_for(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Tells a run until it has heard, or has ended.
    async fn insist(&self, run: &RunKey, control: Control) {
        while Instant::now() < self.give_up {
            match self.client.control(run, control).await {
                Ok(_) | Err(ClientError::Refused { .. }) => return,
                // A start message that was acknowledged may still be on its way.
                Err(error) if error.is_retryable() || matches!(error, ClientError::NotFound { .. }) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%run, %error, "a run cannot be told");
                    return;
                }
            }
        }
    }
}

fn run_key(seed: u64) -> Result<RunKey, jetway::BadName> {
    Ok(RunKey::new(WorkflowName::new("play")?, RunId::new(&format!("r{seed:016x}"))?))
}

impl Ended {
    /// Why no result came, where that is so.
    pub fn error(&self) -> Option<Error> {
        match &self.result {
            Ok(_) => None,
            Err(error) => Some(Error::Host(error.to_string())),
        }
    }
}
