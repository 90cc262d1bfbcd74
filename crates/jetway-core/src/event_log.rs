//! A log of events to which concurrent steps append.

use crate::{
    clock::{Clock, SystemClock},
    merge::{Merge, locked::Locked},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    collections::HashSet,
    fmt::{self, Debug, Formatter},
    sync::Arc,
};
use uuid::Uuid;

/// An event of an [`EventLog`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent<E> {
    /// The id of the event. The log has each id once.
    pub uuid: Uuid,
    /// When it was appended, in milliseconds since the Unix epoch, by the clock of the host. The log is not ordered by
    /// it.
    pub timestamp: u128,
    /// The event itself.
    pub event: E,
}

/// A log of events that nodes append to through `&C`, and from which they derive state.
///
/// Events are in causal order: an event follows all events that its author could see, whatever the clocks say. Events
/// of steps that could not see each other are in the order of their commits.
///
/// Encoded as a sequence of [`LoggedEvent`]. A clone shares the log; a decoded log does not.
///
/// ```
/// use jetway_core::event_log::EventLog;
///
/// let log = EventLog::new();
/// log.append(3);
/// log.append(4);
/// let total = log.apply_all_default(|event, sum: &mut i32| *sum += event);
/// assert_eq!(total, 7);
/// ```
pub struct EventLog<E>(Arc<Locked<Vec<Arc<LoggedEvent<E>>>>>);

impl<E> EventLog<E> {
    /// An empty log.
    pub fn new() -> Self {
        Self::of(Vec::new())
    }

    /// Appends an event.
    pub fn append(&self, event: E) {
        let timestamp = u128::from(SystemClock.now().0);
        self.0.lock().push(Arc::new(LoggedEvent { uuid: Uuid::new_v4(), timestamp, event }));
    }

    /// A copy of all events in order.
    pub fn iter(&self) -> Vec<LoggedEvent<E>>
    where
        E: Clone,
    {
        self.events().iter().map(|event| LoggedEvent::clone(event)).collect()
    }

    /// Calls `apply` with each event in order and `state`.
    pub fn apply_all<S, F>(&self, state: &mut S, apply: F)
    where
        F: Fn(&E, &mut S),
    {
        for logged in self.events() {
            apply(&logged.event, state);
        }
    }

    /// Applies all events in order to `S::default()` and returns the state.
    pub fn apply_all_default<S, F>(&self, apply: F) -> S
    where
        S: Default,
        F: Fn(&E, &mut S),
    {
        let mut state = S::default();
        self.apply_all(&mut state, apply);
        state
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(events: Vec<Arc<LoggedEvent<E>>>) -> Self {
        Self(Arc::new(Locked::new(events)))
    }

    /// A copy of the list of events, so that no lock is held while the caller uses them.
    fn events(&self) -> Vec<Arc<LoggedEvent<E>>> {
        self.0.lock().clone()
    }
}

impl<E> Clone for EventLog<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Default for EventLog<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Debug> Debug for EventLog<E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventLog").field(&self.events()).finish()
    }
}

impl<E: PartialEq> PartialEq for EventLog<E> {
    fn eq(&self, other: &Self) -> bool {
        self.events() == other.events()
    }
}

impl<E: Serialize> Serialize for EventLog<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.events().iter().map(AsRef::as_ref))
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for EventLog<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let events = Vec::<LoggedEvent<E>>::deserialize(deserializer)?;
        Ok(Self::of(events.into_iter().map(Arc::new).collect()))
    }
}

/// Appends the events that the log does not have, in their order. A log with an event also has all events that its
/// author saw, so no event precedes its cause.
impl<E> Merge for EventLog<E> {
    fn merge(&mut self, other: Self) {
        let others = other.events();
        let mut mine = self.0.lock();
        let known = ids(&mine);
        mine.extend(others.into_iter().filter(|event| !known.contains(&event.uuid)));
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        // A base that shares this log has no past. All events then count as new; the ids prevent duplicates.
        let past = if Arc::ptr_eq(&self.0, &base.0) { HashSet::new() } else { ids(&base.events()) };
        let (mine, mut events) = (self.events(), theirs.events());
        let (kept, known) = (ids(&mine), ids(&events));
        events.retain(|event| kept.contains(&event.uuid) || !past.contains(&event.uuid));
        let is_new =
            |event: &Arc<LoggedEvent<E>>| !past.contains(&event.uuid) && !known.contains(&event.uuid);
        events.extend(mine.into_iter().filter(is_new));
        Self::of(events)
    }
}

fn ids<E>(events: &[Arc<LoggedEvent<E>>]) -> HashSet<Uuid> {
    events.iter().map(|event| event.uuid).collect()
}

#[cfg(test)]
mod tests {
    use super::{Arc, EventLog, LoggedEvent, Merge, Uuid};

    fn decoded(log: &EventLog<u32>) -> EventLog<u32> {
        serde_json::from_value(serde_json::to_value(log).unwrap()).unwrap()
    }

    fn events(log: &EventLog<u32>) -> Vec<u32> {
        log.iter().into_iter().map(|logged| logged.event).collect()
    }

    fn log(events: impl IntoIterator<Item = u32>) -> EventLog<u32> {
        let log = EventLog::new();
        events.into_iter().for_each(|event| log.append(event));
        log
    }

    #[test]
    fn it_is_encoded_as_its_events() {
        let log = log([1]);
        let LoggedEvent { uuid, timestamp, event } = log.iter().remove(0);
        let expected = format!(r#"[{{"uuid":"{uuid}","timestamp":{timestamp},"event":{event}}}]"#);
        assert_eq!(serde_json::to_string(&log).unwrap(), expected);
        assert_eq!(decoded(&log), log);
    }

    #[test]
    fn a_clone_shares_the_log_and_a_decoded_one_does_not() {
        let log = log([1]);
        let (clone, copy) = (log.clone(), decoded(&log));
        log.append(2);
        assert_eq!((events(&clone), events(&copy)), (vec![1, 2], vec![1]));
    }

    #[test]
    fn events_are_in_causal_order_even_if_clocks_disagree() {
        let base =
            EventLog::of(vec![Arc::new(LoggedEvent { uuid: Uuid::max(), timestamp: 9_000, event: 1 })]);
        let skewed =
            |uuid, timestamp, event| EventLog::of(vec![Arc::new(LoggedEvent { uuid, timestamp, event })]);
        let (mut effect, other) = (decoded(&base), decoded(&base));
        effect.merge(skewed(Uuid::nil(), 5, 2));
        other.append(3);
        let expected = vec![1, 3, 2];
        assert_eq!(events(&decoded(&effect).rebase(&base, decoded(&other))), expected);
        let mut merged = other;
        merged.merge(effect);
        assert_eq!(events(&merged), expected);
    }

    #[test]
    fn merging_adds_an_event_once_and_keeps_the_other_log() {
        let other = log([2, 3]);
        let mut mine = log([1]);
        mine.merge(other.clone());
        mine.merge(other.clone());
        mine.merge(mine.clone());
        assert_eq!((events(&mine), events(&other)), (vec![1, 2, 3], vec![2, 3]));
    }

    #[test]
    fn a_base_that_shares_the_log_loses_nothing() {
        let mine = log([1]);
        let theirs = decoded(&mine);
        let base = mine.clone();
        mine.append(2);
        theirs.append(3);
        assert_eq!(events(&mine.rebase(&base, theirs)), [1, 3, 2]);
    }

    #[test]
    fn events_that_one_side_dropped_stay_dropped() {
        let base = log([1, 2]);
        let (mine, theirs) = (decoded(&base), decoded(&base));
        theirs.append(3);
        assert_eq!(events(&log([4]).rebase(&base, decoded(&theirs))), [3, 4]);
        mine.append(5);
        assert_eq!(events(&mine.rebase(&base, log([6]))), [6, 5]);
    }

    #[test]
    fn code_that_applies_events_may_use_the_log() {
        let log = log([1, 2]);
        log.apply_all(&mut (), |event, ()| log.append(event + 10));
        assert_eq!(events(&log), [1, 2, 11, 12]);
    }
}
