//! The fail point that the environment names, read once.

use super::{FailPoint, UnknownName};
use std::{
    env,
    fmt::Display,
    iter,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Where the process crashes.
struct Armed {
    point: FailPoint,
    /// How often the place is reached until then.
    left: AtomicU32,
}

/// Crashes here if the environment says so: aborts, with one line on standard error.
pub fn fail_point(point: FailPoint) {
    let Some(armed) = armed().filter(|armed| armed.point == point) else {
        return;
    };
    // It wraps around below zero, but the process is aborting then.
    if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        die(&format!("the process ends at the fail point {point}"));
    }
}

/// The items in one batch; one by one if the process has to crash between two of them.
pub fn one_by_one<T>(point: FailPoint, items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let size = if armed().is_some_and(|armed| armed.point == point) { 1 } else { items.len().max(1) };
    let mut items = items.into_iter();
    iter::from_fn(move || Some(items.by_ref().take(size).collect::<Vec<_>>()).filter(|part| !part.is_empty()))
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED.get_or_init(|| parse("JETWAY_FAIL_POINT", Armed::from_str)).as_ref()
}

impl FromStr for Armed {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let (name, times) = match text.rsplit_once('@').map(|(name, times)| (name, times.parse())) {
            Some((name, Ok(times))) => (name, times),
            _ => (text, 1),
        };
        Ok(Self { point: name.parse()?, left: AtomicU32::new(times) })
    }
}

/// Parses a variable. An unknown name aborts: a test must not take it for a fail point that is never reached.
fn parse<T, E: Display>(variable: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    match read(&text) {
        Ok(value) => Some(value),
        Err(error) => die(&format!("{variable}: {error}")),
    }
}

#[expect(clippy::print_stderr, reason = "the process aborts next")]
fn die(message: &str) -> ! {
    eprintln!("{message}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_a_count_are_read() {
        let read = |text: &str| text.parse::<Armed>().map(|armed| (armed.point, armed.left.into_inner()));
        assert_eq!(read("committed"), Ok((FailPoint::Committed, 1)));
        assert_eq!(read("node-run@3"), Ok((FailPoint::NodeRun, 3)));
        assert!(read("node-run@x").is_err() && read("comitted").is_err());
    }

    #[test]
    fn items_stay_together_without_a_fail_point() {
        let parts: Vec<_> = one_by_one(FailPoint::TicketPublished, vec![1, 2, 3]).collect();
        assert_eq!(parts, [[1, 2, 3]]);
        assert_eq!(one_by_one(FailPoint::TicketPublished, Vec::<u8>::new()).count(), 0);
    }
}
