//! Where time comes from.

use jetway_state::Timestamp;
use std::{
    fmt::Debug,
    time::{SystemTime, UNIX_EPOCH},
};

/// A clock. What needs the time is given one, so that tests can move it.
pub trait Clock: Send + Sync + Debug {
    /// The time.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock that is set before 1970 reads as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The time of the machine's clock, for tests and for what has no engine at hand.
pub fn now() -> Timestamp {
    SystemClock.now()
}
