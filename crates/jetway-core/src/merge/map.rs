//! [`Map`]: a map whose keys concurrent steps change.

use super::{Merge, locked::Locked};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::BTreeMap};

/// An ordered map that nodes change through `&C`. Concurrent changes of different keys all count. For the same key the
/// values are merged, also where both steps insert it: a `Map<String, i64>` is a set of counters, a `Map<String,
/// Register<Status>>` a set of registers.
///
/// Where one step removes a key and another changes its value, the later commit wins: the key is removed, or it is back
/// with the change applied to `V::default()`.
///
/// Encoded as a map in ascending order of keys. A clone is a copy.
///
/// ```
/// use jetway_core::merge::{Map, Merge};
///
/// let base: Map<&str, i64> = [("seen", 1)].into_iter().collect();
/// let (mine, theirs) = (base.clone(), base.clone());
/// mine.update("seen", |n| *n += 1);
/// theirs.update("seen", |n| *n += 1);
/// theirs.insert("failed", 1);
/// let both = mine.rebase(&base, theirs);
/// assert_eq!((both.get("seen"), both.get("failed")), (Some(3), Some(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "K: Deserialize<'de> + Ord, V: Deserialize<'de>"))]
pub struct Map<K, V>(Locked<BTreeMap<K, V>>);

impl<K: Ord, V> Map<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a key and returns the previous one.
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.0.lock().insert(key, value)
    }

    /// Removes a key and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.lock().remove(key)
    }

    /// Calls `change` with the value of a key, or with a new `V::default()`, and returns its result.
    ///
    /// The map is locked during the call: a `change` that uses this map waits forever.
    pub fn update<R>(&self, key: K, change: impl FnOnce(&mut V) -> R) -> R
    where
        V: Default,
    {
        change(self.0.lock().entry(key).or_default())
    }

    /// A copy of the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.0.lock().get(key).cloned()
    }

    /// Whether the map has the key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.lock().contains_key(key)
    }

    /// A copy of all keys in ascending order.
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.0.lock().keys().cloned().collect()
    }

    /// A copy of the map.
    pub fn to_map(&self) -> BTreeMap<K, V>
    where
        K: Clone,
        V: Clone,
    {
        self.0.lock().clone()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Locked::default())
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(Locked::new(entries.into_iter().collect()))
    }
}

impl<K: Ord, V: Merge + PartialEq> Merge for Map<K, V> {
    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self(self.0.rebase(&base.0, theirs.0))
    }
}
