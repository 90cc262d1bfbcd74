//! The header `Jetway-Wait`: how long a request waits for the result of its run.

use jetway_engine::backend::ApiError;
use std::time::Duration;

/// The longest wait. To wait longer, a client subscribes to the subject of the result.
const LONGEST: Duration = Duration::from_secs(3600);

/// Parses `Jetway-Wait`: a number and one of `ms`, `s`, `m`, `h`.
///
/// # Errors
/// 400 for anything else, and for more than one hour.
pub(super) fn parse_wait(text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wait = parse(text.trim()).filter(|wait| *wait <= LONGEST);
    wait.map(Some).ok_or_else(|| {
        ApiError::new(
            400,
            format!("invalid Jetway-Wait {text:?}: use a time of at most 1h, such as 30s, 500ms or 5m"),
        )
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
        for (text, millis) in
            [("30s", 30_000), ("500ms", 500), ("5m", 300_000), ("1h", 3_600_000), (" 1s ", 1000)]
        {
            assert_eq!(parse_wait(Some(text)), Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(parse_wait(None), Ok(None));
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "2h", "1d", "99999999999999999999s", "99999999999999999h"]
        {
            let refusal = parse_wait(Some(text)).unwrap_err();
            assert_eq!(refusal.code, 400, "{text}");
            assert!(refusal.message.contains("such as 30s"));
        }
    }
}
