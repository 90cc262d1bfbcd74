//! Starts runs one after the other under the same id, each as soon as the record of the one before is gone.

use super::{Driver, Ended, PAUSE, START_WITHIN, run_key, signals::Needs};
use crate::{
    program::Input,
    replaced::{Progress, Replaced},
};
use jetway::{
    RunKey,
    client::{ClientError, Control, StartedRun},
};
use jetway_core::{step::AnyWorkflow as _, typed::Typed};
use jetway_engine::backend::SnapshotStore as _;
use jetway_nats::faults::{self, Removal};
use jetway_state::{Seen, codec::Encoding, run::Snapshot};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;
use tokio::time::Instant;

/// How long a start may take until a host has processed it, before it is repeated.
const RECORDED_WITHIN: Duration = Duration::from_secs(10);

/// The pause between two reads of a record.
const READ_PAUSE: Duration = Duration::from_millis(20);

impl Driver {
    /// Starts two to five runs with the same id. The last one stays.
    pub(super) async fn use_id(&self, seed: u64, end: Instant) -> Ended {
        let mut rng = StdRng::seed_from_u64(!seed);
        let run = run_key(seed);
        let mut left = rng.random_range(1..=4);
        let mut program = seed;
        let cancels = rng.random();
        loop {
            let input = Input::lingering(program, rng.random());
            self.runs.start(&run, input);
            let started = match self.start_anew(&run, input, &mut rng).await {
                Ok(started) => started,
                Err(error) => return Ended { run, result: Err(error) },
            };
            self.runs.acknowledged(&run);
            if cancels {
                // A command names no incarnation, so one that arrives late may cancel the next run of the id.
                self.runs.cancelled(&run);
            }
            if left == 0 || Instant::now() >= end {
                return self.finish(started, Needs::default(), false, &mut rng).await;
            }
            left -= 1;
            match self.replace(&started, input, cancels, &mut rng).await {
                Ok(replaced) => self.runs.replaced(replaced),
                Err(error) => return Ended { run, result: Err(error) },
            }
            // Half of the runs have the program of the run before, so that their items have the same ids.
            if rng.random() {
                program = rng.random();
            }
        }
    }

    /// Starts a run, until the record is that of this start. A start of an earlier run may be processed late: a host that
    /// was killed or paused had it.
    async fn start_anew(
        &self,
        run: &RunKey,
        input: Input,
        rng: &mut impl Rng,
    ) -> Result<StartedRun, ClientError> {
        let frame = input.frame();
        let json = serde_json::to_vec(&frame).map_err(ClientError::Input)?;
        let workflow = Typed::new(crate::interpreter::Interpreter::new())?;
        let digest = workflow.run_input(&json, Encoding::Json).map_err(ClientError::Value)?.digest();
        let end = Instant::now() + START_WITHIN;
        loop {
            let started = match self.start(run, &frame, None, rng.random()).await {
                Ok(started) => started,
                // An earlier run has the id again.
                Err(ClientError::Refused { code: 409, .. }) if Instant::now() < end => {
                    self.remove_late(run, &digest).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let repeat_at = (Instant::now() + RECORDED_WITHIN).min(self.deadline);
            while Instant::now() < repeat_at {
                match self.record(run).await? {
                    Some(snapshot) if snapshot.input_digest == digest => return Ok(started),
                    Some(_) => {
                        self.remove_late(run, &digest).await?;
                        break;
                    }
                    None => tokio::time::sleep(READ_PAUSE).await,
                }
            }
            if Instant::now() >= end {
                return Err(ClientError::TimedOut { run: run.clone(), waited: START_WITHIN });
            }
        }
    }

    /// Removes a record that is not that of the start with this digest.
    async fn remove_late(&self, run: &RunKey, digest: &[u8]) -> Result<(), ClientError> {
        if let Some(snapshot) = self.record(run).await?
            && snapshot.input_digest != digest
        {
            self.runs.late_start();
            self.remove(run, Removal::Deleted).await?;
        }
        Ok(())
    }

    /// Lets a run come as far as chance says, and removes its record.
    async fn replace(
        &self,
        started: &StartedRun,
        input: Input,
        cancels: bool,
        rng: &mut impl Rng,
    ) -> Result<Replaced, ClientError> {
        let run = started.key.clone();
        let progress = match rng.random_range(0..3) {
            0 if cancels => Progress::Cancelled,
            0 | 1 => Progress::Running,
            _ => Progress::Ended,
        };
        let result = match progress {
            Progress::Ended => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                Some(self.client.result(started, left).await)
            }
            Progress::Cancelled => {
                self.pause_for(rng.random_range(1..700)).await;
                self.control_until_accepted(&run, Control::Cancel).await;
                None
            }
            Progress::Running => {
                self.pause_for(rng.random_range(1..700)).await;
                None
            }
        };
        let mut removals = vec![Removal::Deleted, Removal::Purged];
        let snapshot = self.record(&run).await?;
        // A record that another commit replaces does not expire.
        if snapshot.as_ref().is_some_and(|snapshot| snapshot.status.is_terminal()) {
            removals.push(Removal::Expired);
        }
        let removal = removals[rng.random_range(0..removals.len())];
        self.remove(&run, removal).await?;
        Ok(Replaced { run, input, cancelled: cancels, progress, removal, snapshot, result })
    }

    /// Removes a record and waits until it is gone.
    async fn remove(&self, run: &RunKey, removal: Removal) -> Result<(), ClientError> {
        while self.record(run).await?.is_some() {
            match faults::remove_record(&self.backend, run, removal).await {
                Err(error) if !error.is_retryable() || Instant::now() >= self.deadline => {
                    return Err(error.into());
                }
                _ => tokio::time::sleep(READ_PAUSE).await,
            }
        }
        Ok(())
    }

    /// The current record of a run.
    async fn record(&self, run: &RunKey) -> Result<Option<Snapshot>, ClientError> {
        loop {
            match self.backend.load(run, Seen::default()).await {
                Ok(Some(stored)) => {
                    return Ok(Some(stored.open().map_err(ClientError::Record)?.0));
                }
                Ok(None) => return Ok(None),
                Err(error) if error.is_retryable() && Instant::now() < self.deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
