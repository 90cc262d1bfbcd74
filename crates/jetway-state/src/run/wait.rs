//! Waiting for time, and for signals: items that are pending and have no ticket until they are due.
//!
//! A run has one alarm, for what is due first after its last commit. Whoever gets the alarm's ticket runs its item and publishes the
//! tickets of the other items that have become due. So does a commit that comes later than they are due.

use super::{
    effect::Effect,
    recover::{TicketWanted, pending_ticket},
    signal::SignalWait,
    snapshot::Snapshot,
};
use crate::{Error, ItemId, Timestamp, time::rounded_up};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// The longest wait: 100 years.
pub const MAX_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600 + 25 * 24 * 3600);

/// How long an alarm lasts at most. A longer wait is armed again when it rings: servers count nanoseconds in 64 bits.
pub const MAX_ALARM: Duration = Duration::from_secs(30 * 24 * 3600);

/// When an alarm that is armed at `now` rings: at `due`, or at the end of the first piece of a longer wait.
///
/// The pieces count back from `due`. So whoever arms the alarm again meanwhile arms the same one, which takes the place of the first.
pub fn rings_at(due: Timestamp, now: Timestamp) -> Timestamp {
    const PIECE: u64 = MAX_ALARM.as_secs() * 1000;
    let left = due.0.saturating_sub(now.0);
    Timestamp(due.0 - left.saturating_sub(1) / PIECE * PIECE)
}

/// What a pending item waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// A time.
    Timer {
        /// When the item is due.
        due: Timestamp,
    },
    /// The next attempt.
    Retry {
        /// When it is made.
        due: Timestamp,
        /// The wait for signals before the failed attempt, which the next one gets the answer of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signals: Option<Box<SignalWait>>,
    },
    /// A person, who looks at the failed attempts and asks for another one: see [`retry_items`](super::retry_items).
    Person {
        /// When the last attempt failed.
        since: Timestamp,
        /// As for the next attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signals: Option<Box<SignalWait>>,
    },
    /// Signals.
    Signal(SignalWait),
}

/// When a value is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// This long after the step.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

impl Later {
    /// Checks the time against [`MAX_WAIT`].
    ///
    /// # Errors
    /// [`Error::TimeOutOfRange`].
    pub fn check(self, now: Timestamp) -> Result<(), Error> {
        if self.due(now) > now.after(MAX_WAIT) { Err(Error::TimeOutOfRange) } else { Ok(()) }
    }

    /// When a step that ended at `now` passes its value on. A part of a millisecond counts as a whole one: nothing is early.
    pub fn due(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(duration) => now.after(rounded_up(duration)),
            Self::At(time) => time,
        }
    }
}

/// The alarm of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmWanted {
    /// When it rings.
    pub due: Timestamp,
    /// The item that is due first.
    pub ticket: TicketWanted,
}

/// What has become due in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NowDue {
    /// The items that were not due at the last commit, and are.
    pub tickets: Vec<TicketWanted>,
    /// The alarm that the run needs from now on, if it is another one than at the last commit.
    pub alarm: Option<AlarmWanted>,
}

impl Wait {
    /// When the item becomes ready, if nothing happens before; `None` if it waits for no time, or not any more.
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Timer { due } | Self::Retry { due, .. } => Some(*due),
            Self::Signal(wait) => wait.due.filter(|_| !wait.is_answered()),
            Self::Person { .. } => None,
        }
    }

    /// Whether the item is ready.
    pub fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Timer { due } | Self::Retry { due, .. } => *due <= now,
            Self::Signal(wait) => wait.is_over(now),
            Self::Person { .. } => false,
        }
    }

    /// The wait for signals, also if it is over and the attempt after it has failed.
    pub fn signals(&self) -> Option<&SignalWait> {
        match self {
            Self::Timer { .. } => None,
            Self::Retry { signals, .. } | Self::Person { signals, .. } => signals.as_deref(),
            Self::Signal(wait) => Some(wait),
        }
    }

    pub(super) fn into_signals(self) -> Option<SignalWait> {
        match self {
            Self::Timer { .. } => None,
            Self::Retry { signals, .. } | Self::Person { signals, .. } => signals.map(|wait| *wait),
            Self::Signal(wait) => Some(wait),
        }
    }
}

impl Snapshot {
    /// When a pending item becomes due by itself; `None` if it waits for no time.
    pub fn due_of(&self, item: &ItemId) -> Option<Timestamp> {
        if let Some(wait) = self.waits.get(item) {
            return wait.due();
        }
        let (fan_out, position) = item.as_branch()?;
        let fan_out = self.fan_outs.get(&fan_out)?;
        fan_out.due.filter(|_| fan_out.branches.is_open(position))
    }

    /// Whether a pending item waits for no time that is later than `now`, for no signal and for no person. One that waits for a child run
    /// as well may be ready: whoever gets its ticket looks at the child.
    pub fn is_due(&self, item: &ItemId, now: Timestamp) -> bool {
        match self.waits.get(item) {
            Some(wait) => wait.is_over(now) || self.waits_for_first(item),
            None => self.due_of(item).is_none_or(|due| due <= now),
        }
    }

    /// Whether a pending item waits, or has waited, for a time or a signal.
    pub fn has_wait(&self, item: &ItemId) -> bool {
        self.waits.contains_key(item) || self.due_of(item).is_some()
    }

    /// The times that pending items wait for, also those that have passed.
    pub fn dues(&self) -> impl Iterator<Item = Timestamp> {
        let fan_outs = self.fan_outs.values().filter_map(|fan_out| fan_out.due);
        let children = self.awaited_children().filter_map(|(_, child)| child.due);
        self.waits.values().filter_map(Wait::due).chain(fan_outs).chain(children)
    }

    /// Whether an item waits, or waited, for a time or a signal, or waits for a person.
    pub fn has_waits(&self) -> bool {
        !self.waits.is_empty() || self.dues().next().is_some()
    }

    /// Whether a pending item is ready that has waited for a time or a signal.
    pub fn has_waited(&self, now: Timestamp) -> bool {
        let fan_outs = self.fan_outs.values().filter_map(|fan_out| fan_out.due);
        self.waits.values().any(|wait| wait.is_over(now))
            || fan_outs.into_iter().any(|due| due <= now)
            || self.awaited_children().any(|(_, child)| child.is_late(now))
    }

    /// An item that waits for a slot at its node, and has waited for its time or its signals.
    pub fn due_for_slot(&self, now: Timestamp) -> Option<ItemId> {
        let items = self.waits.iter().filter(|(_, wait)| wait.is_over(now)).map(|(id, _)| id);
        if let Some(id) = items.into_iter().find(|id| self.waits_for_slot(id)) {
            return Some(id.clone());
        }
        let due = self.fan_outs.iter().filter(|(_, fan_out)| fan_out.due.is_some_and(|due| due <= now));
        due.into_iter().find_map(|(id, fan_out)| {
            let mut bounded = fan_out.branches.bounded.values();
            bounded.find_map(|bounded| bounded.waiting.first()).map(|position| ItemId::branch(id, position))
        })
    }

    /// The first time after `now` at which an item becomes due, or at which the run or its clean-up has to end.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.dues().chain(self.ends_at()).filter(|due| *due > now).min()
    }

    /// Whether there are pending items, and all of them wait for times after `now`, for signals or for persons.
    pub fn is_asleep(&self, now: Timestamp) -> bool {
        let waits = self
            .waits
            .iter()
            .filter(|(item, wait)| !wait.is_over(now) && !self.waits_for_first(item))
            .count();
        let fan_outs = self.fan_outs.values().filter(|fan_out| fan_out.due.is_some_and(|due| due > now));
        let waiting = waits + fan_outs.map(|fan_out| fan_out.branches.open() as usize).sum::<usize>();
        waiting > 0 && waiting == self.pending()
    }

    /// Any pending item.
    fn any_pending(&self) -> Option<ItemId> {
        let branch = || {
            let mut fan_outs = self.fan_outs.iter();
            fan_outs
                .find_map(|(id, fan_out)| Some(ItemId::branch(id, fan_out.branches.open_positions().next()?)))
        };
        self.items.keys().next().cloned().or_else(branch)
    }

    /// The alarm that the run needs at `now`; `None` if no item becomes due later, or if the run does not go on.
    pub fn alarm(&self, now: Timestamp) -> Option<AlarmWanted> {
        if self.status.is_terminal() {
            return None;
        }
        let due = self.next_due(now)?;
        let first = self.first_due(now).filter(|first| first.due == due);
        first.or_else(|| {
            // The end of a clean-up belongs to no item: whoever gets this ticket looks at the record.
            let any = || TicketWanted::of_waiting(self, &self.any_pending()?);
            Some(AlarmWanted { due, ticket: self.deadline_ticket().or_else(any)? })
        })
    }

    /// The item that becomes due first after `now`, and when that is.
    pub fn first_due(&self, now: Timestamp) -> Option<AlarmWanted> {
        let due = self.dues().filter(|due| *due > now).min()?;
        let waits = self.waits.iter().filter(|(_, wait)| wait.due() == Some(due));
        let waiting = waits.map(|(item, _)| item.clone());
        let branches = self.fan_outs.iter().filter(|(_, fan_out)| fan_out.due == Some(due));
        let branches = branches
            .filter_map(|(id, fan_out)| Some(ItemId::branch(id, fan_out.branches.open_positions().next()?)));
        let children = self.awaited_children().filter(|(_, child)| child.due == Some(due));
        let children = children.map(|(item, _)| item.clone());
        let mut items = waiting.chain(branches).chain(children);
        let ticket = items.find_map(|item| TicketWanted::of_waiting(self, &item))?;
        Some(AlarmWanted { due, ticket })
    }

    /// What has become due since the last commit, apart from the item `rung`, whose alarm has rung.
    pub fn now_due(&self, now: Timestamp, rung: &ItemId) -> NowDue {
        if self.status.is_terminal() || self.next_due(self.updated_at).is_none_or(|due| due > now) {
            return NowDue::default();
        }
        NowDue { tickets: self.due_between(self.updated_at, now, rung), alarm: self.alarm(now) }
    }

    /// The tickets of the items that became due after `since` and until `now`, apart from one.
    pub fn due_between(&self, since: Timestamp, now: Timestamp, except: &ItemId) -> Vec<TicketWanted> {
        let passed = |due: &Timestamp| *due > since && *due <= now;
        let items = self.waits.iter().filter(|(_, wait)| wait.due().as_ref().is_some_and(passed));
        let items = items.map(|(item, _)| item.clone());
        let fan_outs = self.fan_outs.iter().filter(|(_, fan_out)| fan_out.due.as_ref().is_some_and(passed));
        let branches = fan_outs.flat_map(|(id, fan_out)| {
            fan_out.branches.open_positions().map(|position| ItemId::branch(id, position))
        });
        let children = self.awaited_children().filter(|(_, child)| child.due.as_ref().is_some_and(passed));
        let children: BTreeSet<ItemId> = children.map(|(item, _)| item.clone()).collect();
        let due = items.chain(branches).chain(children).filter(|item| item != except);
        due.filter_map(|item| pending_ticket(self, &item, now)).collect()
    }
}

/// An alarm that rings within this time need not be disarmed: it finds nothing to do.
pub const NEAR: Duration = Duration::from_secs(60);

/// What a record waited for before a commit changes it.
#[derive(Debug)]
pub(super) struct WaitsBefore {
    /// The last commit.
    since: Timestamp,
    /// The alarm that was armed then, and its item.
    armed: Option<AlarmWanted>,
    /// The last time that an item waited for, or the end of the run or of its clean-up.
    last: Option<Timestamp>,
}

impl WaitsBefore {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let (since, until) = (snapshot.updated_at, snapshot.ends_at());
        Self { since, armed: snapshot.alarm(since), last: snapshot.dues().chain(until).max() }
    }

    /// Whether the alarm was armed for this time.
    pub(super) fn was_armed_for(&self, time: Timestamp) -> bool {
        self.armed.as_ref().is_some_and(|armed| armed.due == time)
    }

    /// Adds what the commit owes to those that wait: tickets for the items that have become due since the last commit, and the next
    /// alarm. The item of the last alarm gets its ticket from that.
    pub(super) fn settle(self, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
        let now = snapshot.updated_at;
        if snapshot.status.is_terminal() {
            return self.disarm_all(now, effects);
        }
        let next = snapshot.alarm(now);
        let armed = self.armed.as_ref();
        // Also for another item of the same time: the alarm replaces the one that was armed. That of the end of a run or of its
        // clean-up is for any item.
        let is_for_any = |due| snapshot.ends_at() == Some(due);
        let is_same = |armed: &AlarmWanted, next: &AlarmWanted| {
            armed.due == next.due && (armed.ticket.item == next.ticket.item || is_for_any(next.due))
        };
        if let Some(next) = &next
            && armed.is_none_or(|armed| !is_same(armed, next))
        {
            effects.push(Effect::ArmAlarm { since: now });
        }
        if let Some(armed) = armed {
            if armed.due <= now {
                let except = armed.ticket.item.clone();
                effects.push(Effect::PublishDue { since: self.since, except });
            } else if next.is_none_or(|next| next.due > armed.due) {
                self.disarm(now, effects);
            }
        }
    }

    /// Disarms the last alarm if it would ring much later than now.
    pub(super) fn disarm(self, now: Timestamp, effects: &mut Vec<Effect>) {
        let far = self.armed.filter(|armed| armed.due > now.after(NEAR));
        effects.extend(far.map(|armed| Effect::DisarmAlarm(armed.due)));
    }

    /// Whether an alarm of the run would ring much later than now.
    pub(super) fn are_far(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| last > now.after(NEAR))
    }

    /// The run has ended: disarms all its alarms if one of them would ring much later than now. There may be more than the last one:
    /// an alarm stays armed when an item comes that is due earlier, and the pieces of a long wait have times of their own.
    pub(super) fn disarm_all(self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.are_far(now) && !effects.contains(&Effect::DisarmAllAlarms) {
            effects.push(Effect::DisarmAllAlarms);
        }
    }
}
