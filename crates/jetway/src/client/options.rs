//! Options for starting a run.

use jetway_core::clock::not_before;
use jetway_state::{
    RunId,
    run::{RunDeadline, StartTime},
};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// Options for starting a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// The run id; `None` for a random one. Starting twice with the same id and the same input gives one run. An id that
    /// the caller can reproduce, such as an order number, therefore makes a start safe to repeat.
    pub run_id: Option<RunId>,
    /// When the run starts, by the clock of the server; `None` and a time that has passed are at once. The run exists as soon as a
    /// host has processed the start, and waits. A run that exists keeps the time that it has.
    pub start_at: Option<SystemTime>,
    /// How long the run may take after its start; `None` as long as its workflow says (the clause `deadline`), or for ever. A run
    /// that is not done by then fails, or its clean-up begins. A run that exists keeps the deadline that it has.
    pub deadline: Option<Duration>,
}

impl StartOptions {
    /// Options with this run id.
    pub fn named(run_id: RunId) -> Self {
        Self { run_id: Some(run_id), ..Self::default() }
    }

    /// Starts the run at a time, of at most 100 years ahead.
    ///
    /// ```
    /// use jetway::client::StartOptions;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    /// let options = StartOptions::named("order-1".parse()?).at(tomorrow);
    /// # Ok::<(), jetway::BadName>(())
    /// ```
    #[must_use]
    pub fn at(self, time: SystemTime) -> Self {
        Self { start_at: Some(time), ..self }
    }

    pub(super) fn run_deadline(&self) -> RunDeadline {
        self.deadline.map_or(RunDeadline::OfWorkflow, RunDeadline::After)
    }

    pub(super) fn start_time(&self) -> StartTime {
        self.start_at.map_or(StartTime::Now, |time| StartTime::At(not_before(time)))
    }

    pub(super) fn id(&self) -> String {
        match &self.run_id {
            Some(id) => id.to_string(),
            None => Uuid::new_v4().simple().to_string(),
        }
    }
}
