//! The limits of an engine.

use jetway_core::RetryPolicy;
use jetway_state::run::Limits;
use std::time::Duration;

/// The limits of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How many attempts at one item may end with the loss of their host. After that the step fails, so that it does not crash
    /// host after host. From the second attempt on, the record of the run counts them, apart from those that failed.
    pub max_attempts: u32,
    /// How many steps a worker runs under one ticket at most, so that other runs get their turn.
    pub steps_per_ticket: u32,
    /// How long a worker continues under one ticket at most.
    pub time_per_ticket: Duration,
    /// The time limit of each attempt.
    pub step_timeout: Option<Duration>,
    /// How failed attempts are retried at nodes without a policy of their own; `None`: not at all.
    pub retry: Option<RetryPolicy>,
    /// How long the clean-up of a cancelled run takes at most: what its `on_cancel` edges lead to. After that the run ends, and what is
    /// left does not run. The host that takes the command sets it.
    pub clean_up_limit: Duration,
    /// The sweep checks a run that was not written for this long.
    pub stale_after: Duration,
    /// The limits on the size of snapshots and chunks.
    pub limits: Limits,
    /// How many runs are cached, so that their next step reads nothing.
    pub cached_runs: usize,
    /// About how many bytes the snapshots of the cached runs use together.
    pub cached_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            steps_per_ticket: 256,
            time_per_ticket: Duration::from_secs(5),
            step_timeout: None,
            retry: None,
            clean_up_limit: Duration::from_secs(300),
            stale_after: Duration::from_secs(60),
            limits: Limits::default(),
            cached_runs: 8192,
            cached_bytes: 256 * 1024 * 1024,
        }
    }
}
