//! Spans by the clock of the host, which is that of its server.
//!
//! The libraries take the times of a span from the machine. The hosts of a run have other machines, so all times are moved
//! by the difference between the clock of the machine and that of the host. The difference changes now and then; a time is
//! moved by the one that was in force at that time, so that the spans of a process keep their order.
//!
//! The spans of steps are moved to the times that the engine gave them: those that the record of their run covers.

use jetway_core::clock::{Clock, SystemClock};
use jetway_engine::SpanTimes;
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A smaller change of the difference is not followed: it is how exactly the two clocks can be compared.
const TOLERANCE: Duration = Duration::from_micros(20);
/// How often the comparison is tried again after something came between the two clocks.
const TRIES: usize = 4;
/// How many changes are remembered. Spans are exported within a second or so.
const MAX_CHANGES: usize = 4096;

/// The attributes that carry the times of a step to the exporter. They are not exported.
const START: Key = Key::from_static_str("jetway.span.start_micros");
const END: Key = Key::from_static_str("jetway.span.end_micros");

/// The clock of this process.
static CLOCK: SpanClock = SpanClock(Mutex::new(State { clock: None, changes: VecDeque::new() }));

/// Sets the clock of the spans of this process. The latest host wins: the hosts of one process have one machine.
pub(in crate::telemetry) fn set_clock(clock: Arc<dyn Clock>) {
    let mut state = CLOCK.state();
    state.clock = Some(clock);
    state.refresh();
}

/// The time of spans now, in microseconds since 1970.
pub(super) fn now_micros() -> u64 {
    let mut state = CLOCK.state();
    state.refresh();
    micros(state.moved(SystemClock.exact()))
}

/// A time in microseconds since 1970.
pub(super) fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
}

/// The attributes that give a span its times when it is exported.
pub(super) fn attributes(times: SpanTimes) -> [KeyValue; 2] {
    let number = |micros| i64::try_from(micros).unwrap_or(i64::MAX);
    [KeyValue::new(START, number(times.start_micros)), KeyValue::new(END, number(times.end_micros))]
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
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
    /// The earliest first.
    changes: VecDeque<Change>,
}

/// A difference, from some time of the machine on.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: SystemTime,
    difference: Difference,
    /// The time of the host then by the earlier difference: no later time is before it.
    floor: SystemTime,
}

impl State {
    /// Compares the two clocks.
    fn refresh(&mut self) {
        let Some(clock) = &self.clock else { return };
        for _ in 0..TRIES {
            let (before, host, after) = (SystemClock.exact(), clock.exact(), SystemClock.exact());
            if after.duration_since(before).is_ok_and(|between| between <= TOLERANCE) {
                self.note(after, Difference::between(after, host));
                return;
            }
        }
        // The machine is too busy to tell. The next span tries again.
        if self.changes.is_empty() {
            let (host, machine) = (clock.exact(), SystemClock.exact());
            self.note(machine, Difference::between(machine, host));
        }
    }

    fn note(&mut self, at: SystemTime, difference: Difference) {
        if self.changes.back().is_some_and(|last| !difference.is_far_from(last.difference)) {
            return;
        }
        let floor = if self.changes.is_empty() { UNIX_EPOCH } else { self.moved(at) };
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { from: at, difference, floor });
    }

    /// The time of the host at a time of the machine.
    fn moved(&self, machine: SystemTime) -> SystemTime {
        let in_force = self.changes.iter().rev().find(|change| change.from <= machine);
        match in_force.or(self.changes.front()) {
            Some(change) if change.from <= machine => change.difference.add(machine).max(change.floor),
            // Before the first comparison.
            Some(change) => change.difference.add(machine),
            None => machine,
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
}

/// Passes spans to another exporter, with the times of the host.
#[derive(Debug)]
pub(super) struct ServerTimeExporter<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for ServerTimeExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        {
            let state = CLOCK.state();
            for span in &mut batch {
                set_times(span, |time| state.moved(time));
            }
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

fn set_times(span: &mut SpanData, moved: impl Fn(SystemTime) -> SystemTime) {
    for event in &mut span.events.events {
        event.timestamp = moved(event.timestamp);
    }
    let given = |name: &Key| {
        let found = span.attributes.iter().rev().find(|attribute| attribute.key == *name)?;
        match &found.value {
            Value::I64(micros) => u64::try_from(*micros).ok(),
            _ => None,
        }
    };
    let (start, end) = (given(&START), given(&END));
    span.start_time = start.map_or_else(|| moved(span.start_time), time);
    // The clock of the machine may have been set back while the span was open.
    span.end_time = end.map_or_else(|| moved(span.end_time), time).max(span.start_time);
    span.attributes.retain(|attribute| attribute.key != START && attribute.key != END);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn state() -> State {
        State { clock: None, changes: VecDeque::new() }
    }

    #[test]
    fn f1_times_of_the_machine_become_those_of_the_host() {
        for (machine, host) in [(5_000, 5_000), (3_605_000, 5_000), (5_000, 3_605_000), (5_050, 5_000)] {
            let mut state = state();
            state.note(at(machine), Difference::between(at(machine), at(host)));
            assert_eq!(state.moved(at(machine + 7)), at(host + 7));
            assert_eq!(state.moved(at(machine - 7)), at(host - 7), "before the first comparison");
        }
    }

    #[test]
    fn f15_a_time_is_moved_by_the_difference_of_its_time() {
        let mut state = state();
        state.note(at(1_000), Difference::between(at(1_000), at(5_000)));
        state.note(at(2_000), Difference::between(at(2_000), at(7_000)));
        state.note(at(3_000), Difference::between(at(3_000), at(7_500)));
        let moved: Vec<_> =
            [1_500, 1_999, 2_500, 3_100, 3_500, 4_000].map(|machine| state.moved(at(machine))).into();
        // The last difference takes half a second back, and no time goes back.
        assert_eq!(moved, [5_500, 5_999, 7_500, 8_000, 8_000, 8_500].map(at));
    }

    #[test]
    fn a_small_change_of_the_difference_is_not_followed() {
        let difference = |machine, host| Difference::between(at(machine), at(host));
        let micro = Duration::from_micros(1);
        let near = Difference { ahead: true, by: Duration::from_millis(100) + TOLERANCE };
        assert!(!difference(100, 200).is_far_from(near));
        assert!(difference(100, 200).is_far_from(Difference { by: near.by + micro, ..near }));
        assert!(difference(100, 90).is_far_from(difference(100, 110)));
        let mut state = state();
        state.note(at(1), difference(100, 200));
        state.note(at(2), near);
        assert_eq!(state.changes.len(), 1);
    }

    #[test]
    fn changes_are_bounded() {
        let mut state = state();
        for number in 0..2 * MAX_CHANGES as u64 {
            state.note(at(number), Difference::between(at(0), at(number)));
        }
        assert_eq!(state.changes.len(), MAX_CHANGES);
    }
}
