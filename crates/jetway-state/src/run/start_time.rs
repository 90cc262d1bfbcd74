//! When a run starts: the header `Jetway-Start-At` of a start.

use super::{
    snapshot::Snapshot,
    wait::{Later, Wait},
};
use crate::{ItemId, Timestamp};
use std::{fmt, time::Duration};

/// When a run starts, as its client asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartTime {
    /// At once.
    #[default]
    Now,
    /// At this time, or at once if it has passed.
    At(Timestamp),
    /// What the client wrote is no time: the start is refused.
    Unreadable(String),
}

/// Why a start with a time is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStartTime {
    /// It is no time.
    #[error(
        "invalid start time {0:?}: use a time with its offset such as 2030-01-31T08:00:00Z, or +90s, +10m, +2h or +3d (days are \
         the largest unit)"
    )]
    Unreadable(String),
    /// It is too far ahead.
    #[error("start time {0} is out of range: a run waits for at most 100 years")]
    OutOfRange(Timestamp),
}

impl StartTime {
    /// Reads a time in RFC 3339, or a plus sign, a number and one of `ms`, `s`, `m`, `h`, `d`: so long after `sent`. A part of a
    /// millisecond counts as a whole one: nothing is early.
    pub fn parse(text: &str, sent: Timestamp) -> Self {
        let trimmed = text.trim();
        let time = match trimmed.strip_prefix('+') {
            Some(duration) => parse_duration(duration).map(|duration| sent.after(duration)),
            None => Timestamp::parse_rounded_up(trimmed),
        };
        time.map_or_else(|| Self::Unreadable(text.to_owned()), Self::At)
    }

    /// When the first item of the run is due; `None` if it need not wait.
    ///
    /// # Errors
    /// What the client wrote is no time, or is more than 100 years after `now`.
    pub fn due(&self, now: Timestamp) -> Result<Option<Timestamp>, BadStartTime> {
        match self {
            Self::Now => Ok(None),
            Self::At(time) => {
                let checked = Later::At(*time).check(now);
                checked.map_err(|_too_far| BadStartTime::OutOfRange(*time))?;
                Ok(Some(*time).filter(|time| *time > now))
            }
            Self::Unreadable(text) => Err(BadStartTime::Unreadable(text.chars().take(64).collect())),
        }
    }

    /// The value of the header; `None` if there is to be none.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::Now => None,
            // A time that cannot be written is refused like the last one that can.
            Self::At(time) => Some(time.to_string()),
            Self::Unreadable(text) => Some(text.clone()),
        }
    }
}

impl Snapshot {
    /// Whether the item is the first of the run, and waits, or has waited, for the time of the start.
    pub(crate) fn waits_to_start(&self, item: &ItemId) -> bool {
        let is_first = self.steps == 0 && self.continued == 0 && *item == ItemId::start();
        is_first && matches!(self.waits.get(item), Some(Wait::Timer { .. }))
    }
}

impl fmt::Display for StartTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::At(time) => time.fmt(f),
            Self::Unreadable(text) => f.write_str(text),
        }
    }
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{run::MAX_WAIT, time::LAST_WRITTEN as LAST};

    const SENT: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn times_are_absolute_or_relative() {
        for (text, millis) in [
            ("2027-01-15T08:00:00Z", 1_800_000_000_000),
            (" 2027-01-15T09:30:00+01:30 ", 1_800_000_000_000),
            ("2027-01-15T08:00:00.000000001Z", 1_800_000_000_001),
            ("2027-01-15T08:00:00.001Z", 1_800_000_000_001),
            ("1969-12-31T23:59:59.5Z", 0),
            ("0001-01-01T00:00:00Z", 0),
            ("+0s", 1_800_000_000_000),
            ("+250ms", 1_800_000_000_250),
            ("+90s", 1_800_000_090_000),
            ("+10m", 1_800_000_600_000),
            ("+2h", 1_800_007_200_000),
            ("+3d", 1_800_259_200_000),
        ] {
            assert_eq!(StartTime::parse(text, SENT), StartTime::At(Timestamp(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            " ",
            "soon",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "2027-13-15T08:00:00Z",
            "1800000000",
            "10m",
            "+",
            "+10",
            "+m",
            "+-1s",
            "-1s",
            "+1.5s",
            "+1w",
            "+99999999999999999999s",
            "+9999999999999999d",
        ] {
            let parsed = StartTime::parse(bad, SENT);
            assert_eq!(parsed, StartTime::Unreadable(bad.to_owned()));
            assert_eq!(parsed.due(SENT), Err(BadStartTime::Unreadable(bad.to_owned())));
        }
        let far = StartTime::parse("+99999999999d", SENT).due(SENT).unwrap_err().to_string();
        assert!(far.starts_with("start time 9999-12-31T23:59:59.999Z is out of range"), "{far}");
        let long = StartTime::parse(&"x".repeat(100_000), SENT).due(SENT).unwrap_err().to_string();
        assert!(long.len() < 300 && long.contains("+10m"), "{long}");
    }

    #[test]
    fn only_a_later_time_within_100_years_is_waited_for() {
        let last = SENT.after(MAX_WAIT);
        for (time, due) in [(Timestamp(0), None), (SENT, None), (last, Some(last))] {
            assert_eq!(StartTime::At(time).due(SENT), Ok(due));
        }
        let too_far = last.after(Duration::from_millis(1));
        for time in [too_far, LAST, Timestamp(u64::MAX)] {
            assert_eq!(StartTime::At(time).due(SENT), Err(BadStartTime::OutOfRange(time)));
        }
        assert_eq!(StartTime::Now.due(SENT), Ok(None));
    }

    #[test]
    fn a_header_says_the_same_again() {
        let times = [StartTime::At(Timestamp(0)), StartTime::At(SENT), StartTime::At(LAST)];
        for time in times.into_iter().chain([StartTime::Unreadable("soon".to_owned())]) {
            let header = time.header().unwrap();
            assert_eq!((StartTime::parse(&header, Timestamp(5)), time.to_string()), (time, header));
        }
        assert_eq!(StartTime::Now.header(), None);
        let too_far = StartTime::At(Timestamp(u64::MAX)).header().unwrap();
        assert!(StartTime::parse(&too_far, SENT).due(SENT).is_err(), "{too_far}");
    }
}
