//! The first of a child run, signals and a deadline: one item waits for all of them, and the first that comes settles its wait.
//!
//! The record has both waits of such an item: its child run in [`Snapshot::children`], and its signals with the deadline in
//! [`Snapshot::waits`]. One write settles the race, that of the step: an attempt that saw less of the wait for signals than the record
//! has by then is made again, see [`Snapshot::saw`].
//!
//! | first | the child run | a signal | the deadline |
//! |---|---|---|---|
//! | a signal, which the record has | follows its policy if it still runs; its result changes nothing | is the answer of the step; a later one goes to the mailbox | its alarm finds nothing to do |
//! | the end of the child run | its result is that of the step | goes to the mailbox | its alarm finds nothing to do |
//! | the deadline | follows its policy if it still runs; its result changes nothing | goes to the mailbox | is the answer of the step |
//! | the cancel of the run | follows its policy | goes to the mailbox | does not count any more |
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the record names the child and the signals | the child may not exist, and no alarm is armed | redelivery of the ticket: the node names the child again, and the wait for signals stays as it was; the sweep |
//! | a signal is applied | its item has no ticket | redelivery of the signal; the sweep |
//! | the step of the signal or of the deadline is committed | the child is not cancelled | redelivery of the ticket; the sweep: it is an intent in the record |

use super::{
    signal::{SignalWait, SignalWanted, end_wait},
    snapshot::Snapshot,
    wait::Wait,
};
use crate::{ItemId, Timestamp};

/// What has come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FirstOf {
    /// A signal.
    Signal,
    /// The end of the child run.
    Child,
    /// The deadline.
    Deadline,
}

impl Snapshot {
    /// The wait for signals of an item that waits for a child run as well.
    pub fn wait_beside_child(&self, item: &ItemId) -> Option<&SignalWait> {
        self.signal_wait(item).filter(|_| self.children.contains_key(item))
    }

    /// What has come first for an item that waits for a child run and for signals; `None` if nothing has, or if it waits for one kind
    /// alone. A signal that the record has comes first: whoever sent it may know that it was taken. The end of a child run comes before a
    /// deadline that has passed, since nobody knows which of them was first.
    pub fn first_of(&self, item: &ItemId, child_has_ended: bool, now: Timestamp) -> Option<FirstOf> {
        let wait = self.wait_beside_child(item)?;
        match wait.is_answered() {
            true => Some(FirstOf::Signal),
            false if child_has_ended => Some(FirstOf::Child),
            false => wait.is_over(now).then_some(FirstOf::Deadline),
        }
    }

    /// The wait for signals that an attempt at the item gets the answer of. None while the item goes on to wait for signals, or for its
    /// child run.
    pub fn wait_that_is_over(&self, item: &ItemId, now: Timestamp) -> Option<&SignalWait> {
        self.signal_wait(item).filter(|wait| !self.children.contains_key(item) || wait.is_over(now))
    }

    /// Whether an item waits for a child run or for signals, whichever comes first. It may be ready at any time: the record does not say
    /// whether the child has ended.
    pub(super) fn waits_for_first(&self, item: &ItemId) -> bool {
        matches!(self.waits.get(item), Some(Wait::Signal(_))) && self.children.contains_key(item)
    }
}

/// The item begins to wait for signals beside a child run. `false` if that wait is over already, since a signal is in the mailbox: then
/// no child run is to be started. Returns the items as well that get what the item has not taken.
pub(super) fn begin_beside_child(
    snapshot: &mut Snapshot,
    item: &ItemId,
    wanted: SignalWanted,
    now: Timestamp,
) -> (bool, Vec<ItemId>) {
    let ready = end_wait(snapshot, item, now);
    let mut wait = SignalWait::new(wanted, now);
    wait.take_from(&mut snapshot.mailbox);
    let goes_on = !wait.is_over(now);
    snapshot.waits.insert(item.clone(), Wait::Signal(wait));
    (goes_on, ready)
}

#[cfg(test)]
mod tests;
