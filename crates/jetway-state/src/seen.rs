//! What a reader knows to be written.

use serde::{Deserialize, Serialize};

/// Identifies a store of snapshots. A store that was deleted and made again is another one: its revisions start again.
///
/// Zero stands for a store that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub u64);

/// A revision of a run that is known to be written, and the store that it is a revision of. A reader never believes an answer
/// that is older.
///
/// The default knows nothing: every answer is believed.
///
/// # Examples
///
/// ```
/// use jetway_state::{Seen, StoreId};
///
/// let (earlier, later) = (Seen::new(7, StoreId(1)), Seen::new(9, StoreId(1)));
/// assert_eq!(earlier.or_later(later), later);
/// assert!(later.is_met_by(12) && !later.is_met_by(8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The revision; 0 if none is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// The store.
    #[serde(default)]
    pub store: StoreId,
}

/// What the state of a store says about an answer that is older than what is known, or about an answer that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// The answer is true: the store has everything that is known, or it is another one.
    Believed,
    /// The one that answered lacks what is known to be written.
    TooOld,
}

impl Seen {
    /// A revision of a store.
    pub fn new(revision: u64, store: StoreId) -> Self {
        Self { revision, store }
    }

    /// Whether a revision is not older than what is known.
    pub fn is_met_by(self, revision: u64) -> bool {
        revision >= self.revision
    }

    /// What is known from both. Of two stores, `other` is the one that exists.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        let is_later = self.store == other.store && self.revision > other.revision;
        match is_later || other.revision == 0 {
            true => self,
            false => other,
        }
    }

    /// Judges an answer by the latest revision of any run that the one who answered has, and by its store.
    pub fn judge(self, latest: u64, store: StoreId) -> Belief {
        let is_another = self.store != StoreId::default() && self.store != store;
        match is_another || self.is_met_by(latest) {
            true => Belief::Believed,
            false => Belief::TooOld,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(revision: &u64) -> bool {
    *revision == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_an_old_answer_is_believed_from_another_store_only() {
        let seen = Seen::new(9, StoreId(1));
        assert_eq!(seen.judge(8, StoreId(1)), Belief::TooOld);
        assert_eq!(seen.judge(9, StoreId(1)), Belief::Believed);
        assert_eq!(seen.judge(2, StoreId(2)), Belief::Believed);
        // Who does not know its store trusts revisions alone.
        assert_eq!(Seen::new(9, StoreId::default()).judge(2, StoreId(2)), Belief::TooOld);
        assert_eq!(Seen::default().judge(0, StoreId(2)), Belief::Believed);
    }

    #[test]
    fn the_later_of_two_stores_wins() {
        let (old, new) = (Seen::new(9, StoreId(1)), Seen::new(2, StoreId(2)));
        assert_eq!(old.or_later(new), new);
        assert_eq!(Seen::new(7, StoreId(1)).or_later(old), old);
        assert_eq!(old.or_later(Seen::new(7, StoreId(1))), old);
        assert_eq!(old.or_later(Seen::default()), old);
    }
}
