//! Points in time.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The last time that RFC 3339 can write: the end of the year 9999.
pub(crate) const LAST_WRITTEN: Timestamp = Timestamp(253_402_300_799_999);

/// A point in time in milliseconds since 1970 (UTC). The rules of the engine get the time as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The first millisecond that is not before this much time since 1970.
    pub fn not_before(since_1970: Duration) -> Self {
        Self(0).after(rounded_up(since_1970))
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` if the text is not RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(time.timestamp_millis()).ok().map(Self)
    }

    /// Reads RFC 3339 as a time that is not before the text. A time before 1970 becomes 1970. `None` if the text is something else.
    pub(crate) fn parse_rounded_up(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        let since = (time.to_utc() - DateTime::<Utc>::UNIX_EPOCH).to_std().unwrap_or(Duration::ZERO);
        Some(Self::not_before(since))
    }

    /// The time that is `duration` before this one.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The time that is `duration` after this one.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The time from `earlier` to this one; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A part of a millisecond counts as a whole one.
pub(crate) fn rounded_up(duration: Duration) -> Duration {
    duration.saturating_add(Duration::from_nanos(999_999))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a duration for people: `284 µs`, `1.4 ms`, `48 ms`, `12.3 s`.
///
/// ```
/// use jetway_state::Rounded;
/// use std::time::Duration;
///
/// assert_eq!(Rounded(Duration::from_nanos(1_448_554)).to_string(), "1.4 ms");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounded(pub Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds {
            ..0.000_999_5 => write!(f, "{:.0} µs", seconds * 1e6),
            0.000_999_5..0.01 => write!(f, "{:.1} ms", seconds * 1e3),
            0.01..0.9995 => write!(f, "{:.0} ms", seconds * 1e3),
            0.9995..120.0 => write!(f, "{seconds:.1} s"),
            _ => write!(f, "{seconds:.0} s"),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds, in UTC. RFC 3339 can write no year after 9999: a later time is written as the end of that year.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from((*self).min(LAST_WRITTEN).0).unwrap_or(i64::MAX);
        let time = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC);
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_written_is_no_time_of_1970() {
        assert_eq!(LAST_WRITTEN.to_string(), "9999-12-31T23:59:59.999Z");
        for later in [LAST_WRITTEN.0 + 1, i64::MAX.unsigned_abs(), u64::MAX] {
            assert_eq!(Timestamp(later).to_string(), LAST_WRITTEN.to_string(), "{later}");
        }
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations_are_rounded() {
        for (nanos, text) in [
            (0, "0 µs"),
            (284_036, "284 µs"),
            (999_900, "1.0 ms"),
            (1_448_554, "1.4 ms"),
            (48_283_711, "48 ms"),
            (999_700_000, "1.0 s"),
            (12_345_678_901, "12.3 s"),
            (600_400_000_000, "600 s"),
        ] {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
