//! Durations: parsing arguments, and formatting for people.

use chrono::{DateTime, TimeDelta};
use std::time::{Duration, SystemTime};

/// Parses `500ms`, `30s`, `5m`, `2h`, `3d`, or seconds without a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let invalid = || {
        // A flag without its value takes the argument that follows.
        let taken = if digits == 0 { ", and other arguments before the flag" } else { "" };
        format!(
            "invalid duration {text:?}: write it as 500ms, 30s, 5m, 2h or 3d (days are the largest unit){taken}"
        )
    };
    let number: u64 = number.parse().map_err(|_not_a_number| invalid())?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    Ok(Duration::from_millis(number.saturating_mul(milliseconds)))
}

/// Parses a duration in words or in short: `3 days`, `1 s`, `90s`, `500ms`.
pub(crate) fn parse_words(text: &str) -> Result<Duration, String> {
    let invalid = || {
        format!(
            "invalid duration {text:?}: write it as 500ms, 30s, 5 minutes, 2 hours or 3 days (days are the largest unit)"
        )
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(digits);
    let short = match unit.trim() {
        "ms" | "millisecond" | "milliseconds" => "ms",
        "s" | "second" | "seconds" => "s",
        "m" | "min" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return Err(invalid()),
    };
    parse_duration(&format!("{number}{short}")).map_err(|_not_a_duration| invalid())
}

/// Parses a time in RFC 3339, with its offset.
pub(crate) fn parse_time(text: &str) -> Result<SystemTime, String> {
    let time = DateTime::parse_from_rfc3339(text.trim());
    time.map(SystemTime::from).map_err(|error| {
        format!("invalid time {text:?}: {error}; write it with its offset, as 2030-01-31T08:00:00+01:00 or 2030-01-31T07:00:00Z")
    })
}

/// The time from `started` to `finished`, both in RFC 3339. `None` if there is no end yet.
pub(crate) fn elapsed(started: &str, finished: Option<&str>) -> Option<String> {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let elapsed: TimeDelta = parse(finished?)? - parse(started)?;
    Some(spoken(elapsed.to_std().unwrap_or_default()))
}

/// Formats a duration in one or two units: `1.4 ms`, `340 ms`, `12.3 s`, `4 min 5 s`.
pub(crate) fn spoken(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 if elapsed.subsec_millis() < 10 && elapsed.subsec_micros() % 1000 >= 50 => {
            format!("{:.1} ms", elapsed.as_secs_f64() * 1e3)
        }
        0 => format!("{} ms", elapsed.as_millis()),
        seconds @ 1..60 if elapsed.subsec_millis() < 50 => format!("{seconds} s"),
        1..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        seconds @ 60..3600 if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long before `now` that was, or after it, both in RFC 3339, as people say it: `12 s ago`, `in 3 min`. A time that cannot be read stays as it is.
pub(crate) fn ago(time: &str, now: &str) -> String {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let Some(elapsed) = parse(now).zip(parse(time)).map(|(now, time)| (now - time).num_seconds()) else {
        return time.to_owned();
    };
    let length = match elapsed.unsigned_abs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    };
    match elapsed {
        // The clock of this machine may be a little behind.
        -1..1 => "now".to_owned(),
        1.. => format!("{length} ago"),
        _ => format!("in {length}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("30", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("3d", 259_200_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "s", "-1s", "1.5s", "3 days", "1w", "100y"] {
            let said = parse_duration(bad).unwrap_err();
            assert!(said.contains("days are the largest unit"), "{bad:?}: {said}");
            assert_eq!(
                said.contains("before the flag"),
                !bad.starts_with(char::is_numeric),
                "{bad:?}: {said}"
            );
        }
    }

    #[test]
    fn durations_are_formatted_in_fitting_units() {
        let formatted = |milliseconds| spoken(Duration::from_millis(milliseconds));
        assert_eq!(spoken(Duration::from_nanos(1_448_554)), "1.4 ms");
        assert_eq!(spoken(Duration::from_micros(1_010)), "1 ms");
        assert_eq!(formatted(5_000), "5 s");
        assert_eq!(formatted(300_000), "5 min");
        assert_eq!(formatted(340), "340 ms");
        assert_eq!(formatted(12_340), "12.3 s");
        assert_eq!(formatted(245_000), "4 min 5 s");
        assert_eq!(formatted(7_260_000), "2 h 1 min");
    }

    #[test]
    fn durations_are_written_in_words_or_in_short() {
        let times = [
            ("3 days", 259_200),
            ("1 day", 86_400),
            ("2 hours", 7200),
            ("5 min", 300),
            ("90s", 90),
            ("1 s", 1),
        ];
        for (text, seconds) in times {
            assert_eq!(parse_words(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "3", "soon", "3 weeks", "100 years", "-1 days", "days", "1.5 days"] {
            assert!(parse_words(bad).unwrap_err().contains("3 days (days are the largest unit)"), "{bad}");
        }
    }

    #[test]
    fn u1_times_are_relative() {
        let now = "2026-01-03T00:00:00.500Z";
        for (time, said) in [
            ("2026-01-03T00:00:00.000Z", "now"),
            ("2026-01-03T00:00:01.900Z", "now"),
            ("2026-01-03T00:00:09.500Z", "in 9 s"),
            ("2026-01-03T02:00:00.500Z", "in 2 h"),
            ("2026-01-02T23:59:48.000Z", "12 s ago"),
            ("2026-01-02T23:00:01.000Z", "59 min ago"),
            ("2026-01-02T01:00:00.000Z", "23 h ago"),
            ("2026-01-01T00:00:00.000Z", "2 d ago"),
            ("never", "never"),
        ] {
            assert_eq!(ago(time, now), said);
        }
    }

    #[test]
    fn a_duration_needs_an_end() {
        let (start, end) = ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.500Z");
        assert_eq!(elapsed(start, Some(end)).as_deref(), Some("1.5 s"));
        assert_eq!(elapsed(start, None), None);
        assert_eq!(elapsed(end, Some(start)).as_deref(), Some("0 ms"));
    }
}
