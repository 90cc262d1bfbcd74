//! Waiting for signals: named messages to a run.
//!
//! A signal goes to the item that has waited for it longest, or into the mailbox of the run. Invariant: no signal is in the mailbox
//! that an item waits for. One write settles the race between a signal and the deadline of a wait: an attempt that saw less of the
//! wait than its record has by then is made again, see [`Snapshot::saw`].
//!
//! | the signal comes | it goes to |
//! |---|---|
//! | while items wait for it | the one that has waited longest; of those, the first by its id |
//! | before anybody waits, or after the deadline of the wait | the mailbox: the next item that waits for it takes it |
//! | while items sleep or back off | the mailbox: nothing starts early |
//! | twice with one id of its sender | once |
//! | with the mailbox full, or after the end of the run | nowhere: whoever delivers it says so |

use super::{
    apply::admit,
    attempt::AttemptReport,
    effect::{Applied, Effect, TicketFor},
    mailbox::{Letter, Mailbox, Verdict},
    retry::free_slot,
    snapshot::Snapshot,
    wait::{Later, Wait, WaitsBefore},
};
use crate::{CommitId, Graph, Incarnation, ItemId, StoreId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The wait of an item for signals, and the signals that it has so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalWait {
    /// The names of the signals, each once.
    pub names: Vec<String>,
    /// Whether it waits for one signal of each name. Otherwise the first signal is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Since when it waits.
    pub since: Timestamp,
    /// The deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// The signals that it has, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Letter>,
}

/// The signals that a step wants to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalWanted {
    /// Their names.
    pub names: Vec<String>,
    /// Whether it waits for one signal of each name. Otherwise the first signal is enough.
    pub all: bool,
    /// How long it waits; `None` for ever.
    pub until: Option<Later>,
}

/// What an attempt knows of the wait of its item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SawSignals {
    since: Timestamp,
    /// The sequences of the signals that it got.
    taken: Vec<u64>,
}

/// Where a signal is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SignalPlace {
    /// Where its sender has stored it.
    #[default]
    First,
    /// It was put off, since its run was not there, and was then stored among the others again.
    Again,
    /// It is put off still. It has no place in the order of the store, and is known by its id alone.
    Later,
}

impl SignalPlace {
    /// Whether the sequence says if the signal is applied.
    fn is_counted(self) -> bool {
        self != Self::Later
    }

    /// Whether the sequence says nothing about when it was sent.
    pub fn is_put_off(self) -> bool {
        self != Self::First
    }
}

/// A signal that has arrived for a run, checked as far as its workflow can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedSignal {
    /// Its sequence in the store.
    pub sequence: u64,
    /// Its place in the store.
    pub place: SignalPlace,
    /// Its name.
    pub name: String,
    /// The hash of the id that its sender has given to it.
    pub id: Option<u64>,
    /// The incarnation that it is for, or the first one of its run.
    pub incarnation: Option<Incarnation>,
    /// When it was sent.
    pub at: Timestamp,
    /// The encoded value, or why it cannot be applied.
    pub payload: Result<Bytes, Verdict>,
}

/// The result of [`deliver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The record to write; `None` if nothing changes.
    pub applied: Option<Applied>,
    /// What becomes of each signal, in their order.
    pub verdicts: Vec<Verdict>,
}

impl SignalWait {
    pub(super) fn new(wanted: SignalWanted, now: Timestamp) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(wanted.names.len());
        for name in wanted.names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let due = wanted.until.map(|until| until.due(now));
        Self { names, all: wanted.all, since: now, due, taken: Vec::new() }
    }

    /// Whether it has all the signals that it waits for.
    pub fn is_answered(&self) -> bool {
        match self.all {
            true => self.taken.len() >= self.names.len(),
            false => !self.taken.is_empty(),
        }
    }

    /// Whether the item runs now: it has its signals, or its deadline has passed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_answered() || self.due.is_some_and(|due| due <= now)
    }

    /// The names of the signals that it still waits for.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let has = |name: &String| self.all && self.taken.iter().any(|letter| letter.name == *name);
        let is_missing = move |name: &&String| !self.is_answered() && !has(name);
        self.names.iter().filter(is_missing).map(String::as_str)
    }

    fn wants(&self, name: &str) -> bool {
        self.missing().any(|missing| missing == name)
    }

    /// Takes what is in the mailbox already, in its order.
    pub(super) fn take_from(&mut self, mailbox: &mut Mailbox) {
        let mut left = Vec::with_capacity(mailbox.letters.len());
        for letter in std::mem::take(&mut mailbox.letters) {
            if self.wants(&letter.name) {
                self.taken.push(letter);
            } else {
                left.push(letter);
            }
        }
        mailbox.letters = left;
    }
}

impl Snapshot {
    /// The wait for signals that an attempt at the item gets the answer of; `None` if the item has not waited for any.
    pub fn signal_wait(&self, item: &ItemId) -> Option<&SignalWait> {
        self.waits.get(item)?.signals()
    }

    /// What an attempt that starts now knows of the wait of its item. If the record says something else when the attempt is to be
    /// committed, the attempt is made again: a signal has come in between, or another attempt has waited anew.
    pub fn saw(&self, item: &ItemId) -> Option<SawSignals> {
        let SignalWait { since, taken, .. } = self.signal_wait(item)?;
        Some(SawSignals { since: *since, taken: taken.iter().map(|letter| letter.sequence).collect() })
    }

    /// The item that gets a signal: the one that has waited longest.
    fn waiter_for(&self, name: &str, now: Timestamp) -> Option<ItemId> {
        let waiting = self.waits.iter().filter_map(|(item, wait)| match wait {
            Wait::Signal(wait) if !wait.is_over(now) && wait.wants(name) => Some((wait.since, item)),
            _ => None,
        });
        waiting.min().map(|(_, item)| item.clone())
    }

    /// Gives a signal to the item that has waited for it longest. Returns the item if it is ready now; gives the signal back if
    /// nobody waits for it.
    fn give(&mut self, letter: Letter, now: Timestamp) -> Result<Option<ItemId>, Letter> {
        let Some(item) = self.waiter_for(&letter.name, now) else { return Err(letter) };
        let Some(Wait::Signal(wait)) = self.waits.get_mut(&item) else { return Err(letter) };
        wait.taken.push(letter);
        Ok(wait.is_answered().then_some(item))
    }

    fn receive(&mut self, signal: &ArrivedSignal, now: Timestamp, ready: &mut Vec<ItemId>) -> Verdict {
        if self.status.is_terminal() {
            return if self.has_had(signal) { Verdict::Duplicate } else { Verdict::RunEnded };
        }
        if signal.place.is_counted() {
            self.mailbox.applied = self.mailbox.applied.max(signal.sequence);
        }
        let verdict = self.judge(signal, now, ready);
        match verdict {
            Verdict::Taken | Verdict::Kept => self.mailbox.remember(signal.id),
            refused if signal.place.is_counted() => self.mailbox.refuse(signal.sequence, refused),
            // Its own message comes later.
            _refused => {}
        }
        verdict
    }

    fn is_meant_by(&self, signal: &ArrivedSignal) -> bool {
        signal.incarnation.is_none_or(|incarnation| self.is_called(incarnation))
    }

    /// Whether this incarnation has had a signal with the same id of its sender.
    fn has_had(&self, signal: &ArrivedSignal) -> bool {
        self.is_meant_by(signal) && signal.id.is_some_and(|id| self.mailbox.knows(id))
    }

    fn judge(&mut self, signal: &ArrivedSignal, now: Timestamp, ready: &mut Vec<ItemId>) -> Verdict {
        if !self.is_meant_by(signal) {
            return Verdict::OtherIncarnation;
        }
        if self.has_had(signal) {
            return Verdict::Duplicate;
        }
        let payload = match &signal.payload {
            Ok(payload) => payload.clone(),
            Err(verdict) => return *verdict,
        };
        let ArrivedSignal { sequence, place, name, at, .. } = signal;
        let (name, store, put_off) = (name.clone(), self.mailbox.store, place.is_put_off());
        let letter = Letter { name, payload, at: *at, sequence: *sequence, store, put_off };
        match self.give(letter, now) {
            Ok(item) => {
                ready.extend(item);
                Verdict::Taken
            }
            Err(letter) => self.mailbox.keep(letter),
        }
    }
}

/// Applies the signals of a store to a run, in this order. Those that were applied before change nothing.
///
/// Total: no record and no signal makes it panic.
pub fn deliver(
    mut snapshot: Snapshot,
    store: StoreId,
    signals: &[ArrivedSignal],
    commit: CommitId,
    now: Timestamp,
) -> Delivered {
    crate::hop!("deliver");
    let now = snapshot.next_time(now);
    let waits = WaitsBefore::of(&snapshot);
    snapshot.mailbox.use_store(store);
    let (mut ready, mut verdicts, mut has_changed) = (Vec::new(), Vec::new(), false);
    let (before, mut seen) = (snapshot.mailbox.applied, BTreeSet::new());
    for signal in signals {
        let is_counted = signal.place.is_counted();
        if is_counted && (signal.sequence <= before || !seen.insert(signal.sequence)) {
            verdicts.push(snapshot.mailbox.verdict_on(signal.sequence));
            continue;
        }
        let verdict = snapshot.receive(signal, now, &mut ready);
        has_changed |= if is_counted { verdict.is_recorded() } else { verdict.is_new() };
        verdicts.push(verdict);
    }
    if !has_changed {
        return Delivered { applied: None, verdicts };
    }
    snapshot.commit = commit;
    snapshot.updated_at = now;
    let mut effects = Vec::from_iter(wake(ready));
    waits.settle(&snapshot, &mut effects);
    Delivered { applied: Some(Applied { snapshot, tickets: Vec::new(), effects }), verdicts }
}

/// The item stays pending and waits for signals. What is in the mailbox already is taken first: if that is enough, the item runs
/// again at once. The change of the context by this attempt is not kept. `None` if the item is not pending any more.
pub(super) fn wait_for(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    wanted: SignalWanted,
    commit: CommitId,
    graph: &Graph,
    waits: WaitsBefore,
) -> Option<Applied> {
    let (item, now) = (&attempt.item, attempt.timestamp);
    if !snapshot.is_pending(item) {
        return None;
    }
    let mut effects = Vec::from_iter(wake(end_wait(&mut snapshot, item, now)));
    snapshot.failures.remove(item);
    snapshot.attempts.remove(item);
    snapshot.unreadable.remove(item);
    let mut wait = SignalWait::new(wanted, now);
    wait.take_from(&mut snapshot.mailbox);
    let is_over = wait.is_over(now);
    snapshot.waits.insert(item.clone(), Wait::Signal(wait));
    free_slot(&mut snapshot, item, graph);
    snapshot.commit = commit;
    snapshot.updated_at = now;
    let mut tickets = admit(&mut snapshot, graph, &attempt.ticket_item, now);
    if is_over && !snapshot.waits_for_slot(item) && tickets.iter().all(|ticket| ticket.item != *item) {
        tickets.push(TicketFor { item: item.clone(), node: attempt.node.clone() });
    }
    waits.settle(&snapshot, &mut effects);
    Some(Applied { snapshot, tickets, effects })
}

/// The item has run, and its wait ends. The signals of a wait that was not answered go to others, or back into the mailbox. Returns
/// the items that are ready now.
pub(super) fn end_wait(snapshot: &mut Snapshot, item: &ItemId, now: Timestamp) -> Vec<ItemId> {
    let Some(wait) = snapshot.waits.remove(item).and_then(Wait::into_signals) else { return Vec::new() };
    if wait.is_answered() {
        return Vec::new();
    }
    let mut ready = Vec::new();
    for letter in wait.taken {
        match snapshot.give(letter, now) {
            Ok(item) => ready.extend(item),
            Err(letter) => snapshot.mailbox.put_back(letter),
        }
    }
    ready
}

/// The effect for items whose wait is over.
pub(super) fn wake(ready: Vec<ItemId>) -> Option<Effect> {
    (!ready.is_empty()).then_some(Effect::WakeItems(ready))
}
