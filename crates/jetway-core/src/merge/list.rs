//! [`List`]: a list to which concurrent steps append.

use super::{Merge, locked::Locked};
use serde::{Deserialize, Serialize};

/// A list to which nodes append through `&C`. Concurrent appends follow in the order of their commits; the items of one
/// step stay together.
///
/// Encoded as a sequence. A clone is a copy. The items need not implement any trait.
///
/// ```
/// use jetway_core::merge::{List, Merge};
///
/// let base: List<&str> = ["start"].into_iter().collect();
/// let (mine, theirs) = (base.clone(), base.clone());
/// mine.push("mine");
/// theirs.push("theirs");
/// assert_eq!(mine.rebase(&base, theirs).to_vec(), ["start", "theirs", "mine"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(Locked<Vec<T>>);

impl<T> List<T> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one item.
    pub fn push(&self, item: T) {
        self.0.lock().push(item);
    }

    /// Appends several items, which stay together.
    pub fn extend(&self, items: impl IntoIterator<Item = T>) {
        // Collected before the lock is taken: the iterator may read this list.
        let items: Vec<T> = items.into_iter().collect();
        self.0.lock().extend(items);
    }

    /// A copy of the item at `index`, from 0; `None` past the end.
    pub fn get(&self, index: usize) -> Option<T>
    where
        T: Clone,
    {
        self.0.lock().get(index).cloned()
    }

    /// A copy of all items.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.0.lock().clone()
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Locked::default())
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Locked::new(items.into_iter().collect()))
    }
}

impl<T> Merge for List<T> {
    fn merge(&mut self, other: Self) {
        self.0.lock().extend(other.0.into_inner());
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        let past = base.len();
        let (mut mine, mut theirs) = (self.0.into_inner(), theirs.0.into_inner());
        // A list only grows, so a shorter one is a new list that replaced the old one.
        if mine.len() < past {
            mine.extend(theirs.into_iter().skip(past));
            return Self(Locked::new(mine));
        }
        theirs.extend(mine.drain(past..));
        Self(Locked::new(theirs))
    }
}

#[cfg(test)]
mod tests {
    use super::{List, Merge};

    #[test]
    fn a_replaced_list_keeps_what_others_appended() {
        let base: List<u8> = [1, 2].into_iter().collect();
        let theirs: List<u8> = [1, 2, 3].into_iter().collect();
        assert_eq!(List::new().rebase(&base, theirs).to_vec(), [3]);
        let kept: List<u8> = [1, 2, 4].into_iter().collect();
        assert_eq!(kept.rebase(&base, List::new()).to_vec(), [4]);
    }

    #[test]
    fn an_iterator_may_read_the_list_it_extends() {
        let list: List<u8> = [1, 2].into_iter().collect();
        list.extend((0..2).filter_map(|index| list.get(index)));
        assert_eq!(list.to_vec(), [1, 2, 1, 2]);
    }
}
