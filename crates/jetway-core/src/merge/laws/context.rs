//! Laws of a context with the types whose clones share their value.

use super::{
    Counter, Fixed, check_laws,
    collections::{Change, keyed_changes},
};
use crate::{SharedState, event_log::EventLog};
use futures::FutureExt;
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::MutexGuard;

/// A context as a user may write it.
#[derive(Debug, Default, Serialize, Deserialize, jetway_macros::Merge)]
pub(super) struct Context {
    name: Fixed<String>,
    state: SharedState<BTreeMap<u8, i64>>,
    log: EventLog<u8>,
    done: Counter,
}

impl Context {
    fn state(&self) -> MutexGuard<'_, BTreeMap<u8, i64>> {
        self.state.get().now_or_never().unwrap()
    }

    fn events(&self) -> Vec<u8> {
        self.log.iter().into_iter().map(|logged| logged.event).collect()
    }
}

/// Compares events without their ids and times, which are unique.
impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        let states_are_equal = *self.state() == *other.state();
        let rest = |context: &Self| (context.name.clone(), context.events(), context.done.get());
        states_are_equal && rest(self) == rest(other)
    }
}

/// The changes of one step to a [`Context`].
pub(super) type Changes = (BTreeMap<u8, Change>, Vec<u8>);

pub(super) fn changes() -> impl Strategy<Value = Changes> {
    (keyed_changes(), vec(any::<u8>(), 0..3))
}

pub(super) fn change(value: &mut Context, seen: &Context, (keyed_changes, events): &Changes) {
    if value.name.is_empty() {
        value.name = Fixed::new(format!("{events:?}"));
    }
    for (key, what) in keyed_changes {
        match what {
            Change::Add(n) => *value.state().entry(*key).or_default() += n,
            Change::Remove if seen.state().contains_key(key) => drop(value.state().remove(key)),
            Change::Remove => {}
        }
    }
    for event in events {
        value.log.append(*event);
        value.done.increment();
    }
}

#[test]
fn context_of_several_fields() {
    check_laws(changes(), change);
}
