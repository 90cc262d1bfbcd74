//! How long a request waits for the result of its run.

use jetway_engine::backend::ApiError;
use std::time::Duration;

/// The longest wait: who wants to wait longer reads the result's own subject.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads `Jetway-Wait`: a number and one of `ms`, `s`, `m`, `h`.
///
/// # Errors
/// 400 for anything else, and for more than an hour.
pub(super) fn wait(words: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(words) = words else { return Ok(None) };
    let wait = parse(words.trim()).filter(|wait| *wait <= LONGEST);
    wait.map(Some).ok_or_else(|| {
        ApiError::new(400, format!("Jetway-Wait is {words:?}: use a time up to 1h such as 30s, 500ms or 5m"))
    })
}

fn parse(words: &str) -> Option<Duration> {
    let digits = words.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = words.split_at(digits);
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
    fn times() {
        for (words, millis) in
            [("30s", 30_000), ("500ms", 500), ("5m", 300_000), ("1h", 3_600_000), (" 1s ", 1000)]
        {
            assert_eq!(wait(Some(words)), Ok(Some(Duration::from_millis(millis))), "{words}");
        }
        assert_eq!(wait(None), Ok(None));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for words in ["", "30", "s", "-1s", "1.5s", "2h", "1d", "99999999999999999999s", "99999999999999999h"]
        {
            let refusal = wait(Some(words)).unwrap_err();
            assert_eq!(refusal.code, 400, "{words}");
            assert!(refusal.message.contains("such as 30s"));
        }
    }
}
