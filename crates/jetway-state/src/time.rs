//! Points in time.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

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
    /// RFC 3339 with milliseconds, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            i64::try_from(self.0).ok().and_then(DateTime::<Utc>::from_timestamp_millis).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
