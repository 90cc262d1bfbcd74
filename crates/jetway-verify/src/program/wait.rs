//! How a node waits.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a node passes its value on later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// This many milliseconds after its step.
    After(u32),
    /// At a time: this many milliseconds after the time that it sees.
    At(u32),
}

/// What a node that waits at a time has to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// After this time.
    After(Duration),
    /// At this time.
    At(SystemTime),
}

impl Wait {
    fn duration(self) -> Duration {
        match self {
            Self::After(millis) | Self::At(millis) => Duration::from_millis(millis.into()),
        }
    }

    /// The name of the step: a wait of no time is none.
    pub fn step(self) -> &'static str {
        if self.is_none() { "pass" } else { "doze" }
    }

    /// Whether the value is passed on at once.
    pub fn is_none(self) -> bool {
        self.duration().is_zero()
    }

    /// What a node returns, and before which time nothing may follow, in microseconds since 1970. `is_last`: an output of the
    /// run follows. A time that has passed makes no wait, and so a step less, so such a wait is not for a time.
    pub(crate) fn at(self, now: SystemTime, is_last: bool) -> (Later, u64) {
        let duration = self.duration();
        match self {
            Self::At(_) if !is_last => {
                let due = now + duration;
                (Later::At(due), micros(due))
            }
            // The times of runs are whole milliseconds.
            Self::After(_) | Self::At(_) => {
                (Later::After(duration), micros(now) / 1000 * 1000 + micros(UNIX_EPOCH + duration))
            }
        }
    }
}

/// A time in microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_follow_before_the_wait_is_over() {
        let now = UNIX_EPOCH + Duration::from_micros(7_900);
        assert_eq!(Wait::After(5).at(now, false), (Later::After(Duration::from_millis(5)), 12_000));
        assert_eq!(Wait::At(5).at(now, true), (Later::After(Duration::from_millis(5)), 12_000));
        let due = UNIX_EPOCH + Duration::from_micros(12_900);
        assert_eq!(Wait::At(5).at(now, false), (Later::At(due), 12_900));
        assert_eq!((Wait::After(0).step(), Wait::At(1).step()), ("pass", "doze"));
    }
}
