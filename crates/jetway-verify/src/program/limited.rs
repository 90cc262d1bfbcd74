//! Nodes with a time limit.

use super::Frame;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A kind of time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Limit {
    /// `#[timeout]`: of one attempt.
    Timeout,
    /// `#[within]`: from when the step is ready to when it is done.
    Within,
    /// `#[heartbeat]`: between two heartbeats.
    Heartbeat,
}

/// Whether a node keeps to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Haste {
    /// It does, on a machine that is not too slow.
    InTime,
    /// It does not, and ends as if it had succeeded when it is asked to stop.
    WhenTold,
    /// It never ends by itself.
    Never,
}

/// The input of a node with a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limited {
    /// The position of the run.
    pub frame: Frame,
    /// The limit of the node.
    pub limit: Limit,
    /// Whether it keeps to it.
    pub haste: Haste,
    /// When the step before it ran, in milliseconds since 1970 by the clock of the machine.
    pub began: u64,
}

impl Limit {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Timeout, Self::Within, Self::Heartbeat];

    /// The limit of the nodes of this kind.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Timeout => Duration::from_millis(150),
            Self::Within => Duration::from_millis(600),
            Self::Heartbeat => Duration::from_millis(200),
        }
    }

    /// The name in a summary of the steps that have exceeded it.
    pub fn exceeded(self) -> &'static str {
        match self {
            Self::Timeout => "steps over their time limit",
            Self::Within => "steps not done within their time",
            Self::Heartbeat => "steps without a heartbeat",
        }
    }
}
