//! Starts runs in every possible way and waits for their results.

mod signals;
mod used_ids;

use crate::{
    Error,
    program::{Frame, Input, Op},
    runs::Runs,
};
use jetway::{
    Client, RunId, RunKey, WorkflowName,
    client::{ClientError, Control, DoneView, StartOptions, StartedRun, Status},
};
use jetway_nats::NatsBackend;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use signals::Needs;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

/// The number of concurrent runs.
const IN_FLIGHT: usize = 48;

/// The time limit for the acknowledgement of a start, faults included.
const START_WITHIN: Duration = Duration::from_secs(60);

/// The pause before a failed call is retried.
const PAUSE: Duration = Duration::from_millis(100);

/// The end of a run as its starter sees it.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub run: RunKey,
    /// Its result, or why none arrived in time.
    pub result: Result<DoneView, ClientError>,
}

/// Starts the runs of a phase.
#[derive(Debug, Clone)]
pub struct Driver {
    /// A client with its own connection. Only faults of the server affect it.
    pub client: Client,
    /// Reads and removes records.
    pub backend: Arc<NatsBackend>,
    /// Whether run ids are used again.
    pub uses_ids_again: bool,
    /// The runs.
    pub runs: Arc<Runs>,
    /// When every run must have ended.
    pub deadline: Instant,
}

impl Driver {
    /// Starts runs until `end`, `most` runs at most. Then waits for their results.
    pub async fn drive(&self, mut rng: impl Rng, end: Instant, most: u64) -> Vec<Ended> {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut in_flight = JoinSet::new();
        let mut ended = Vec::new();
        for _ in 0..most {
            let slot = tokio::time::timeout_at(end, Arc::clone(&slots).acquire_owned());
            let Ok(Ok(slot)) = slot.await else { break };
            let (driver, seed) = (self.clone(), rng.random());
            in_flight.spawn(async move {
                let ended = match driver.uses_ids_again {
                    true => driver.use_id(seed, end).await,
                    false => driver.run(seed).await,
                };
                drop(slot);
                ended
            });
            while let Some(joined) = in_flight.try_join_next() {
                ended.extend(joined.ok());
            }
        }
        while let Some(joined) = in_flight.join_next().await {
            ended.extend(joined.ok());
        }
        ended
    }

    /// Starts one run and waits for its result.
    async fn run(&self, seed: u64) -> Ended {
        let mut rng = StdRng::seed_from_u64(!seed);
        let run = run_key(seed);
        let input = Input::once(seed);
        self.runs.start(&run, input);
        let frame = input.frame();
        let program = input.program();
        let mut needs = Needs::of(&program, &mut rng);
        self.signal_before(&run, &mut needs, &mut rng).await;
        let started = match self.start(&run, &frame, input.deadline(), rng.random()).await {
            Ok(started) => started,
            Err(error) => return Ended { run, result: Err(error) },
        };
        self.runs.acknowledged(&run);
        if rng.random_ratio(1, 16) {
            // A second start, as by a client that did not get the answer. It is the same run.
            self.start(&run, &frame, input.deadline(), rng.random()).await.err();
        }
        let is_chain = program.contains(&Op::Anew);
        self.finish(started, needs, is_chain, &mut rng).await
    }

    /// Sends commands and signals to a run, and waits for its result.
    async fn finish(&self, started: StartedRun, needs: Needs, is_chain: bool, rng: &mut impl Rng) -> Ended {
        let run = started.key.clone();
        let mut other = StdRng::seed_from_u64(rng.random());
        let signals = self.signal_until_ended(&started, needs, &mut other);
        let ((), result) = tokio::join!(self.send_commands(&run, is_chain, rng), signals);
        self.runs.ended(&run);
        Ended { run, result }
    }

    /// Starts a run by a message or by a request, until the start is acknowledged.
    async fn start(
        &self,
        run: &RunKey,
        input: &Frame,
        deadline: Option<Duration>,
        by_request: bool,
    ) -> Result<StartedRun, ClientError> {
        let options = StartOptions { deadline, ..StartOptions::named(run.run_id.clone()) };
        let workflow = run.workflow.as_str();
        let end = Instant::now() + START_WITHIN;
        loop {
            let started = match by_request {
                true => self.client.start(workflow, input, &options).await,
                false => self.client.publish_start(workflow, input, &options).await,
            };
            match started {
                Ok(started) => return Ok(started),
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Pauses and resumes some runs, cancels some, and terminates a few.
    async fn send_commands(&self, run: &RunKey, is_chain: bool, rng: &mut impl Rng) {
        // A run that continues as new gets more of them, so that some come while it does.
        let of = if is_chain { 12 } else { 40 };
        match rng.random_range(0..of) {
            0 | 1 => {
                self.pause_for(rng.random_range(1..800)).await;
                self.runs.paused(run);
                self.control_until_accepted(run, Control::Pause).await;
                self.pause_for(rng.random_range(1..1500)).await;
                self.control_until_accepted(run, Control::Resume).await;
            }
            2..6 => {
                self.pause_for(rng.random_range(1..1500)).await;
                self.runs.cancelled(run);
                self.control_until_accepted(run, Control::Cancel).await;
                match rng.random_range(0..5) {
                    0 => self.control_until_accepted(run, Control::Cancel).await,
                    1 => self.terminate(run, rng).await,
                    _ => {}
                }
            }
            6 => self.terminate(run, rng).await,
            _ => {}
        }
    }

    async fn terminate(&self, run: &RunKey, rng: &mut impl Rng) {
        self.pause_for(rng.random_range(1..500)).await;
        self.runs.terminated(run);
        self.control_until_accepted(run, Control::Terminate).await;
    }

    async fn pause_for(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Sends a command to a run until it is accepted, or the run has ended.
    async fn control_until_accepted(&self, run: &RunKey, control: Control) {
        while Instant::now() < self.deadline {
            match self.client.control(run, control).await {
                Ok(told) => {
                    if matches!(told.status, Status::Cancelling | Status::Cancelled) {
                        self.runs.stopped(run);
                    }
                    return;
                }
                Err(ClientError::Refused { .. }) => return,
                // The start is acknowledged, but no host may have processed it yet.
                Err(error) if error.is_retryable() || matches!(error, ClientError::NotFound { .. }) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%run, %error, "a command was not accepted");
                    return;
                }
            }
        }
    }
}

fn run_key(seed: u64) -> RunKey {
    let key = || Ok(RunKey::new(WorkflowName::new("interpreter")?, RunId::new(&format!("r{seed:016x}"))?));
    match key() {
        Ok(run) => run,
        Err::<_, jetway::BadName>(error) => panic!("a letter and a number are a valid run id: {error}"),
    }
}

impl Ended {
    /// Why no result arrived, if so.
    pub fn error(&self) -> Option<Error> {
        match &self.result {
            Ok(_) => None,
            Err(error) => Some(Error::Host(error.to_string())),
        }
    }
}
