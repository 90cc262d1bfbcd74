//! The header `Jetway-Wait`: how long a request waits for the result of its run.

use jetway_engine::backend::ApiError;
use std::time::Duration;

/// The longest wait. A host cannot know whether the client still listens, so it answers after this time at the latest, with
/// the run id. A client that wants to wait longer asks again, or subscribes to the subject of the result.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Parses `Jetway-Wait`: a number and one of `ms`, `s`, `m`, `h`. A longer time than [`LONGEST`] becomes that.
///
/// # Errors
/// 400 for anything else.
pub(super) fn parse_wait(text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wait = parse(text.trim()).map(|wait| wait.min(LONGEST));
    wait.map(Some).ok_or_else(|| {
        let units = "30s, 500ms, 5m or 1h (hours are the largest unit)";
        ApiError::new(400, format!("invalid Jetway-Wait {text:?}: use a time such as {units}"))
    })
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("1m", 60_000), (" 1s ", 1000)] {
            assert_eq!(parse_wait(Some(text)), Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(parse_wait(None), Ok(None));
    }

    #[test]
    fn h10_a_wait_is_capped() {
        for text in ["61s", "5m", "1h", "200h"] {
            assert_eq!(parse_wait(Some(text)), Ok(Some(LONGEST)), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "99999999999999999h"] {
            let refusal = parse_wait(Some(text)).unwrap_err();
            assert_eq!(refusal.code, 400, "{text}");
            assert!(refusal.message.contains("such as 30s"));
        }
    }
}
