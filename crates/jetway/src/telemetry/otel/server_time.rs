//! Spans by the clock of the host, which is that of its server.
//!
//! The libraries take the times of a span from the machine. The hosts of a run have other machines, so all times are moved
//! by the difference between the clock of the machine and that of the host when the span is exported.

use jetway_core::clock::{Clock, SystemClock};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// A smaller change of the difference is not followed, so that the spans of one process keep their distances.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The clock of this process.
static CLOCK: SpanClock = SpanClock(Mutex::new(State { clock: None, difference: Difference::NONE }));

/// Sets the clock of the spans of this process. The latest host wins: the hosts of one process have one machine.
pub(in crate::telemetry) fn set_clock(clock: Arc<dyn Clock>) {
    let mut state = CLOCK.state();
    state.clock = Some(clock);
    state.refresh();
}

/// The time of the machine that is exported as this time of the host.
pub(super) fn machine_time(time: SystemTime) -> SystemTime {
    CLOCK.state().difference.remove(time)
}

/// The time of the machine now.
pub(super) fn machine_now() -> SystemTime {
    SystemClock.exact()
}

struct SpanClock(Mutex<State>);

impl SpanClock {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    clock: Option<Arc<dyn Clock>>,
    difference: Difference,
}

impl State {
    /// Compares the two clocks.
    fn refresh(&mut self) {
        if let Some(clock) = &self.clock {
            let current = Difference::between(machine_now(), clock.exact());
            if current.is_far_from(self.difference) {
                self.difference = current;
            }
        }
    }
}

/// How far the clock of the host is ahead of that of the machine, or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Difference {
    ahead: bool,
    by: Duration,
}

impl Difference {
    const NONE: Self = Self { ahead: true, by: Duration::ZERO };

    fn between(machine: SystemTime, host: SystemTime) -> Self {
        match host.duration_since(machine) {
            Ok(by) => Self { ahead: true, by },
            Err(behind) => Self { ahead: false, by: behind.duration() },
        }
    }

    fn is_far_from(self, other: Self) -> bool {
        let apart = if self.ahead == other.ahead {
            self.by.abs_diff(other.by)
        } else {
            self.by.saturating_add(other.by)
        };
        apart > TOLERANCE
    }

    /// The time of the host at this time of the machine. A time that cannot be expressed stays as it is.
    fn add(self, machine: SystemTime) -> SystemTime {
        let moved = if self.ahead { machine.checked_add(self.by) } else { machine.checked_sub(self.by) };
        moved.unwrap_or(machine)
    }

    fn remove(self, host: SystemTime) -> SystemTime {
        Self { ahead: !self.ahead, ..self }.add(host)
    }
}

/// Passes spans to another exporter, with the times of the host.
#[derive(Debug)]
pub(super) struct ServerTimeExporter<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for ServerTimeExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let difference = {
            let mut state = CLOCK.state();
            let difference = state.difference;
            // Spans that are open now have been given times of the old one.
            state.refresh();
            difference
        };
        for span in &mut batch {
            move_span(span, difference);
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn move_span(span: &mut SpanData, difference: Difference) {
    span.start_time = difference.add(span.start_time);
    // The clock of the machine may have been set back while the span was open.
    span.end_time = difference.add(span.end_time).max(span.start_time);
    for event in &mut span.events.events {
        event.timestamp = difference.add(event.timestamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn f1_times_of_the_machine_become_those_of_the_host() {
        for (machine, host) in [(5_000, 5_000), (3_605_000, 5_000), (5_000, 3_605_000), (5_050, 5_000)] {
            let difference = Difference::between(at(machine), at(host));
            assert_eq!(difference.add(at(machine + 7)), at(host + 7));
            assert_eq!(difference.remove(at(host + 7)), at(machine + 7));
        }
    }

    #[test]
    fn a_small_change_of_the_difference_is_not_followed() {
        let difference = |machine, host| Difference::between(at(machine), at(host));
        assert!(!difference(100, 200).is_far_from(difference(100, 201)));
        assert!(difference(100, 200).is_far_from(difference(100, 202)));
        assert!(!difference(100, 100).is_far_from(difference(101, 100)));
        assert!(difference(102, 100).is_far_from(difference(100, 100)));
        assert!(difference(100, 90).is_far_from(difference(100, 110)));
    }
}
