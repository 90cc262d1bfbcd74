//! [`Counter`]: a number to which concurrent steps add.

use super::{Merge, locked::Locked};
use serde::{Deserialize, Serialize};

/// A number to which nodes add through `&C`. Concurrent additions all count.
///
/// Encoded as the number. A clone is a copy. It saturates at the bounds of `i64`.
///
/// ```
/// use jetway_core::merge::{Counter, Merge};
///
/// let base = Counter::new(10);
/// let (mine, theirs) = (base.clone(), base.clone());
/// mine.increment();
/// theirs.add(5);
/// assert_eq!(mine.rebase(&base, theirs).get(), 16);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counter(Locked<i64>);

impl Counter {
    /// A counter that starts at `value`. [`Counter::default`] starts at zero.
    pub fn new(value: i64) -> Self {
        Self(Locked::new(value))
    }

    /// Adds `n`, which may be negative, and returns the new value.
    pub fn add(&self, n: i64) -> i64 {
        let mut value = self.0.lock();
        *value = value.saturating_add(n);
        *value
    }

    /// Adds one and returns the new value.
    pub fn increment(&self) -> i64 {
        self.add(1)
    }

    /// The value.
    pub fn get(&self) -> i64 {
        *self.0.lock()
    }
}

impl Merge for Counter {
    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self(self.0.rebase(&base.0, theirs.0))
    }
}
