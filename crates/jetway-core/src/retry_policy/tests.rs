//! The table of the rule: policies, errors and times.

use super::*;
use jetway_state::{Timestamp, run::MAX_WAIT};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn exponential() -> RetryPolicy {
    RetryPolicy::attempts(usize::MAX)
}

fn busy() -> Error {
    Error::Generic("busy".to_owned())
}

fn failed(error: &Error, failures: u32, seconds: u64) -> FailedAttempt<'_> {
    let first_at = Timestamp(1_000_000);
    FailedAttempt { error, failures, first_at, now: first_at.after(SECOND * seconds as u32), until: None }
}

#[test]
fn w30_delays_saturate() {
    for (policy, delays) in [
        (exponential(), [SECOND, HOUR, HOUR, HOUR, HOUR]),
        (exponential().coefficient(2.0), [SECOND, HOUR, HOUR, HOUR, HOUR]),
        (exponential().coefficient(1e308), [SECOND, HOUR, HOUR, HOUR, HOUR]),
        (exponential().coefficient(f64::INFINITY), [SECOND, HOUR, HOUR, HOUR, HOUR]),
        (exponential().coefficient(1.0), [SECOND; 5]),
        (exponential().first(Duration::ZERO).coefficient(1e308), [Duration::ZERO; 5]),
    ] {
        // The delay before an attempt is that after the one before it.
        let before = [2, 36, 65, 1000, u32::MAX as usize].map(|attempt| policy.backoff_duration(attempt - 1));
        assert_eq!(before, delays, "{policy:?}");
    }
    assert_eq!(exponential().longest(Duration::MAX).backoff_duration(usize::MAX), Duration::MAX);
}

#[test]
fn w30_w32_policies_without_sense_are_refused() {
    for coefficient in [0.5, 0.0, -1.0, f64::NAN] {
        let refused = exponential().coefficient(coefficient).check();
        assert!(matches!(refused, Err(BadPolicy::BadCoefficient(_))), "{coefficient}");
    }
    assert_eq!(RetryPolicy::attempts(0).check(), Err(BadPolicy::NoAttempts));
    assert_eq!(exponential().never(["bad card"]).check(), Err(BadPolicy::BadName("bad card".to_owned())));
    for sound in [exponential(), exponential().coefficient(1.0), exponential().never(["a::Bad", "timeout"])] {
        assert_eq!(sound.check(), Ok(()));
    }
}

#[test]
fn w31_the_gaps_double() {
    let policy = exponential().first(Duration::from_millis(200));
    assert_eq!(
        [1, 2, 3, 4].map(|attempt| policy.backoff_duration(attempt).as_millis()),
        [200, 400, 800, 1600]
    );
}

#[test]
fn w33_what_the_node_asks_for_is_the_least() {
    let error = Error::RetryAfter { message: "too many".to_owned(), after: 2 * HOUR };
    let policy = exponential().with_jitter(HOUR);
    for (chance, delay) in [(0.0, 2 * HOUR), (0.5, 2 * HOUR + HOUR / 2)] {
        assert_eq!(decide(Some(&policy), &failed(&error, 1, 0), chance), Decision::Again(delay));
    }
    let limited = policy.total_time(HOUR);
    let none = NoMore::NoTime { next: 2 * HOUR, limit: HOUR };
    assert_eq!(decide(Some(&limited), &failed(&error, 1, 0), 0.0), Decision::Fail(none));
}

#[test]
fn w33_what_the_node_asks_for_is_within_the_range_of_all_times() {
    let ask = |after| Error::RetryAfter { message: "too many".to_owned(), after };
    let of = |policy: &RetryPolicy, error: &Error| decide(Some(policy), &failed(error, 1, 0), 0.0);
    let pausing = exponential().exhausted(Exhausted::Pause);
    assert_eq!(of(&pausing, &ask(MAX_WAIT)), Decision::Again(MAX_WAIT));
    for after in [MAX_WAIT + Duration::from_millis(1), Duration::MAX] {
        assert_eq!(of(&pausing, &ask(after)), Decision::Fail(NoMore::OutOfRange), "{after:?}");
    }
    let endless = exponential().first(Duration::MAX).longest(Duration::MAX);
    assert_eq!(of(&endless, &busy()), Decision::Fail(NoMore::OutOfRange));
}

#[test]
fn w34_a_step_without_time_for_a_retry_fails_at_once() {
    let policy = exponential().first(32 * SECOND).total_time(60 * SECOND);
    let busy = busy();
    let Decision::Fail(why) = decide(Some(&policy), &failed(&busy, 1, 31), 0.0) else {
        panic!("there is no time")
    };
    assert_eq!(why.to_string(), "no_time_for_retry: next attempt at 63 s, limit 60 s");
    assert_eq!(decide(Some(&policy), &failed(&busy, 1, 28), 0.0), Decision::Again(32 * SECOND));
    let pausing = policy.exhausted(Exhausted::Pause);
    assert_eq!(decide(Some(&pausing), &failed(&busy, 1, 31), 0.0), Decision::Pause(why));
}

#[test]
fn attempts_are_used_up() {
    let (policy, busy) = (RetryPolicy::attempts(3), busy());
    let of = |failures| decide(Some(&policy), &failed(&busy, failures, 0), 0.0);
    assert_eq!(of(2), Decision::Again(2 * SECOND));
    for failures in [3, 4, u32::MAX] {
        assert_eq!(of(failures), Decision::Fail(NoMore::Attempts));
    }
    assert_eq!(decide(None, &failed(&busy, 1, 0), 0.0), Decision::Fail(NoMore::Attempts));
    let pausing = policy.exhausted(Exhausted::Pause);
    assert_eq!(decide(Some(&pausing), &failed(&busy, 3, 0), 0.0), Decision::Pause(NoMore::Attempts));
    let terminal = Error::Terminal("no".to_owned());
    assert_eq!(decide(Some(&pausing), &failed(&terminal, 1, 0), 0.0), Decision::Fail(NoMore::Attempts));
}

#[test]
fn a_step_that_would_be_too_late_is_not_retried() {
    let (policy, busy) = (exponential(), busy());
    let of = |seconds| {
        let failed = failed(&busy, 1, 10);
        let until = Some(failed.first_at.after(SECOND * seconds));
        decide(Some(&policy), &FailedAttempt { until, ..failed }, 0.0)
    };
    assert_eq!((of(12), of(11)), (Decision::Again(SECOND), Decision::Fail(NoMore::TooLate)));
}

#[derive(Debug, thiserror::Error)]
#[error("the card is bad")]
struct BadCard;

#[test]
fn w35_names_match_by_full_path_or_last_part() {
    let (error, path) = (Error::caused_by(BadCard), std::any::type_name::<BadCard>());
    for name in [path, "BadCard", "tests::BadCard"] {
        assert!(!exponential().never([name]).should_retry(&error, 1), "{name}");
    }
    for name in ["Card", "card::BadCard", "other::tests::BadCard"] {
        assert!(exponential().never([name]).should_retry(&error, 1), "{name}");
    }
    assert!(!exponential().never_of::<BadCard>().should_retry(&error, 1));
    assert!(!exponential().never(["timeout"]).should_retry(&Error::Timeout(SECOND), 1));
    assert!(exponential().should_retry(&Error::Timeout(SECOND), 1));
}
