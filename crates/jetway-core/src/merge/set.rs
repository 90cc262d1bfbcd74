//! [`Set`]: a set whose members concurrent steps insert and remove.

use super::{Merge, locked::Locked};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::BTreeSet};

/// An ordered set that nodes change through `&C`. Concurrent insertions and removals all count; for the same member the
/// later commit wins.
///
/// Encoded as a sequence in ascending order. A clone is a copy.
///
/// ```
/// use jetway_core::merge::{Merge, Set};
///
/// let base: Set<u32> = [1, 2].into_iter().collect();
/// let (mine, theirs) = (base.clone(), base.clone());
/// mine.remove(&1);
/// theirs.insert(3);
/// assert_eq!(mine.rebase(&base, theirs).to_vec(), [2, 3]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de> + Ord"))]
pub struct Set<T>(Locked<BTreeSet<T>>);

impl<T: Ord> Set<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts a member. Returns whether it is new.
    pub fn insert(&self, member: T) -> bool {
        self.0.lock().insert(member)
    }

    /// Removes a member. Returns whether the set had it.
    pub fn remove<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.lock().remove(member)
    }

    /// Whether the set has the member.
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.lock().contains(member)
    }

    /// A copy of all members in ascending order.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.0.lock().iter().cloned().collect()
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Locked::default())
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self(Locked::new(members.into_iter().collect()))
    }
}

impl<T: Ord> Merge for Set<T> {
    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self(self.0.rebase(&base.0, theirs.0))
    }
}
