//! The mailbox of a run: the signals that no item has waited for yet, and what is remembered of those that were applied.

use super::{snapshot::Snapshot, wait::Wait};
use crate::{StoreId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many signals a mailbox holds at most.
pub const MAX_LETTERS: usize = 1000;

/// How many bytes of names and payloads a mailbox holds at most. A single signal has no more either.
pub const MAX_LETTER_BYTES: usize = 256 * 1024;

/// Of how many signals it is remembered that they were not taken. Whoever holds one of them may learn it later.
const REMEMBERED_REFUSALS: usize = 64;

/// A signal of a run, with its payload as it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The name of the signal.
    pub name: String,
    /// The encoded value.
    pub payload: Bytes,
    /// When it was sent.
    pub at: Timestamp,
    /// Its sequence in the store: signals are taken in this order, apart from those that were put off.
    pub sequence: u64,
    /// The store of this sequence. One that was made anew counts from 1 again.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub store: StoreId,
    /// Whether it was put off, since it was sent before its run was there. Its place is that of the time at which it was sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub put_off: bool,
}

fn is_unknown(store: &StoreId) -> bool {
    *store == StoreId::default()
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An item that waited for it has it.
    Taken,
    /// It is in the mailbox until an item waits for it.
    Kept,
    /// A signal with this id of its sender was applied before.
    Duplicate,
    /// The mailbox is full.
    MailboxFull,
    /// The run has ended.
    RunEnded,
    /// It is for another incarnation of the run.
    OtherIncarnation,
    /// No node of the workflow waits for a signal of this name.
    UnknownSignal,
    /// The payload is no value of the type of the signal.
    BadPayload,
}

impl Verdict {
    /// Whether the run has the signal, now or since earlier.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Taken | Self::Kept | Self::Duplicate)
    }

    /// Whether the run has the signal since now.
    pub(super) fn is_new(self) -> bool {
        matches!(self, Self::Taken | Self::Kept)
    }

    /// Whether the verdict has to be written down: without that, it could be another one when the signal is delivered again.
    pub(super) fn is_recorded(self) -> bool {
        matches!(self, Self::Taken | Self::Kept | Self::MailboxFull)
    }

    /// The word for it in answers and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Kept => "kept",
            Self::Duplicate => "duplicate",
            Self::MailboxFull => "mailbox_full",
            Self::RunEnded => "run_ended",
            Self::OtherIncarnation => "other_incarnation",
            Self::UnknownSignal => "unknown_signal",
            Self::BadPayload => "bad_payload",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The signals that a run keeps, and what it remembers of those that were applied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mailbox {
    /// The store of the signals. One that was made anew is another one, and its sequences begin again.
    #[serde(default)]
    pub store: StoreId,
    /// All signals of the store up to this sequence are applied.
    #[serde(default)]
    pub applied: u64,
    /// The hashes of the latest ids: of those that senders have chosen, and of those that Jetway has given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<u64>,
    /// The signals that no item has waited for yet, in the order of the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub letters: Vec<Letter>,
    /// The latest signals that are applied and not in the run, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<(u64, Verdict)>,
}

impl Mailbox {
    /// Whether no signal was ever applied.
    pub fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    /// The size of the names and payloads.
    pub fn bytes(&self) -> usize {
        self.letters.iter().map(Letter::size).sum()
    }

    /// Whether a signal of this store was applied.
    pub fn has_applied(&self, store: StoreId, sequence: u64) -> bool {
        self.store == store && sequence <= self.applied
    }

    /// The sequence up to which the signals of a store are applied.
    pub fn applied_of(&self, store: StoreId) -> u64 {
        if self.store == store { self.applied } else { 0 }
    }

    /// What became of a signal of the current store that was applied, as far as it is remembered.
    pub fn verdict_on(&self, sequence: u64) -> Verdict {
        let refused = self.refused.iter().find(|(of, _)| *of == sequence);
        let is_it = |letter: &Letter| letter.store == self.store && letter.sequence == sequence;
        match refused {
            Some((_, verdict)) => *verdict,
            None if self.letters.iter().any(is_it) => Verdict::Kept,
            None => Verdict::Taken,
        }
    }

    pub(super) fn use_store(&mut self, store: StoreId) {
        if self.store != store {
            (self.store, self.applied) = (store, 0);
            self.refused.clear();
        }
    }

    /// Keeps a signal if there is room.
    pub(super) fn keep(&mut self, letter: Letter) -> Verdict {
        let is_full = self.letters.len() >= MAX_LETTERS || self.bytes() + letter.size() > MAX_LETTER_BYTES;
        if is_full {
            return Verdict::MailboxFull;
        }
        self.put_back(letter);
        Verdict::Kept
    }

    /// Puts a signal in its place, also one that was given to an item and that no step has taken. There is always room.
    pub(super) fn put_back(&mut self, letter: Letter) {
        let place = self.letters.iter().position(|other| letter.comes_before(other));
        self.letters.insert(place.unwrap_or(self.letters.len()), letter);
    }

    pub(super) fn refuse(&mut self, sequence: u64, verdict: Verdict) {
        self.refused.push((sequence, verdict));
        let superfluous = self.refused.len().saturating_sub(REMEMBERED_REFUSALS);
        self.refused.drain(..superfluous);
    }
}

impl Snapshot {
    /// Puts the signal that comes with the start of a run into its mailbox: no store has it, and nobody else delivers it. `id` is the hash
    /// of the id that its sender has given to it.
    pub fn begin_with_signal(&mut self, name: String, payload: Bytes, id: Option<u64>) {
        let at = self.started_at;
        self.mailbox.keep(Letter {
            name,
            payload,
            at,
            sequence: 0,
            store: StoreId::default(),
            put_off: false,
        });
        self.mailbox.remember(id);
    }
}

impl Letter {
    pub(super) fn size(&self) -> usize {
        self.name.len() + self.payload.len()
    }

    /// Whether it is taken before another one. The signals of a store have its order, behind the one that came with the start. What was
    /// put off, and what is of another store, is taken in the order of first sending.
    fn comes_before(&self, other: &Self) -> bool {
        let came_with_start = self.sequence == 0 || other.sequence == 0;
        let has_order = self.store == other.store || came_with_start;
        match has_order && !self.put_off && !other.put_off {
            true => self.sequence < other.sequence,
            false => (self.at, self.sequence) < (other.at, other.sequence),
        }
    }
}

impl Snapshot {
    /// The approximate size of the signals in the record, in bytes.
    pub(super) fn signal_bytes(&self) -> usize {
        let waits = self.waits.values().filter_map(Wait::signals);
        let letters = waits.flat_map(|wait| &wait.taken).chain(&self.mailbox.letters);
        letters.map(|letter| letter.size() + 32).sum::<usize>() + 16 * self.mailbox.recent.len()
    }

    /// Ends all waits. The signals that were given to items which have not run since go back into the mailbox: no step of the run has
    /// taken them.
    pub(super) fn put_back_all_signals(&mut self) {
        let waits = std::mem::take(&mut self.waits).into_values();
        for letter in waits.filter_map(Wait::into_signals).flat_map(|wait| wait.taken) {
            self.mailbox.put_back(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(sequence: u64, bytes: usize) -> Letter {
        let (payload, store) = (vec![0; bytes].into(), StoreId(1));
        Letter { name: String::new(), payload, at: Timestamp(1), sequence, store, put_off: false }
    }

    #[test]
    fn a_mailbox_is_bounded_by_number_and_size() {
        let mut many = Mailbox::default();
        for sequence in 1..=1000 {
            assert_eq!(many.keep(letter(sequence, 1)), Verdict::Kept);
        }
        assert_eq!(many.keep(letter(1001, 1)), Verdict::MailboxFull);
        let mut large = Mailbox::default();
        assert_eq!(large.keep(letter(1, MAX_LETTER_BYTES - 1)), Verdict::Kept);
        assert_eq!(large.keep(letter(2, 2)), Verdict::MailboxFull);
        assert_eq!(large.keep(letter(3, 1)), Verdict::Kept);
    }

    #[test]
    fn what_is_put_back_is_where_it_was() {
        let mut mailbox = Mailbox::default();
        for sequence in [2, 5, 9] {
            mailbox.keep(letter(sequence, 1));
        }
        for sequence in [7, 1] {
            mailbox.put_back(letter(sequence, 1));
        }
        let order: Vec<_> = mailbox.letters.iter().map(|letter| letter.sequence).collect();
        assert_eq!(order, [1, 2, 5, 7, 9]);
    }

    #[test]
    fn refusals_are_remembered_up_to_a_limit() {
        let mut mailbox = Mailbox::default();
        for sequence in 0..257 {
            mailbox.refuse(sequence, Verdict::Duplicate);
        }
        assert_eq!(mailbox.refused.len(), 64);
        assert_eq!((mailbox.verdict_on(256), mailbox.verdict_on(3)), (Verdict::Duplicate, Verdict::Taken));
    }

    #[test]
    fn what_was_put_off_has_the_place_of_its_time() {
        let at = |at, sequence, put_off| Letter { at: Timestamp(at), put_off, ..letter(sequence, 1) };
        let mut mailbox = Mailbox::default();
        // The times of two servers differ a little: the order of the store counts.
        for letter in [at(5, 3, false), at(9, 4, false), at(8, 6, false)] {
            mailbox.keep(letter);
        }
        for letter in [at(7, 9, true), at(2, 8, true), at(10, 7, true)] {
            mailbox.keep(letter);
        }
        let order: Vec<_> = mailbox.letters.iter().map(|letter| letter.sequence).collect();
        assert_eq!(order, [8, 3, 9, 4, 6, 7]);
    }

    #[test]
    fn signals_of_an_earlier_store_are_others() {
        let at =
            |at, sequence, store| Letter { at: Timestamp(at), store: StoreId(store), ..letter(sequence, 1) };
        let mut mailbox = Mailbox { store: StoreId(1), ..Mailbox::default() };
        mailbox.keep(at(5, 900, 1));
        mailbox.use_store(StoreId(2));
        mailbox.keep(at(9, 3, 2));
        assert_eq!(mailbox.verdict_on(900), Verdict::Taken, "that of this store");
        mailbox.put_back(at(4, 899, 1));
        mailbox.put_back(at(6, 901, 1));
        let order: Vec<_> = mailbox.letters.iter().map(|letter| letter.sequence).collect();
        assert_eq!(order, [899, 900, 901, 3]);
    }

    #[test]
    fn a_signal_that_comes_with_the_start_is_the_first() {
        let mut mailbox = Mailbox::default();
        mailbox.keep(Letter { store: StoreId::default(), at: Timestamp(3), ..letter(0, 1) });
        mailbox.use_store(StoreId(1));
        mailbox.keep(letter(5, 1));
        let order: Vec<_> = mailbox.letters.iter().map(|letter| letter.sequence).collect();
        assert_eq!((order, mailbox.applied), (vec![0, 5], 0), "the store begins behind it");
    }

    #[test]
    fn a_new_store_begins_again() {
        let mut mailbox = Mailbox { store: StoreId(1), applied: 9, ..Mailbox::default() };
        assert!(mailbox.has_applied(StoreId(1), 9) && !mailbox.has_applied(StoreId(2), 1));
        mailbox.use_store(StoreId(2));
        assert_eq!(
            (mailbox.applied, mailbox.applied_of(StoreId(2)), mailbox.applied_of(StoreId(1))),
            (0, 0, 0)
        );
    }
}
