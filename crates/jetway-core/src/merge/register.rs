//! [`Register`]: a value that concurrent steps replace.

use super::{Merge, locked::Locked};
use serde::{Deserialize, Serialize};
use std::mem;

/// A value that nodes replace through `&C`. Of concurrent writes, the one that commits last wins. A step that did not
/// change the value never overwrites another step's write.
///
/// `T::default()` means not written yet. Encoded as the value. A clone is a copy.
///
/// ```
/// use jetway_core::merge::{Merge, Register};
///
/// let base = Register::new("new".to_owned());
/// let (mine, idle) = (base.clone(), base.clone());
/// mine.set("paid".to_owned());
/// assert_eq!(idle.rebase(&base, mine).get(), "paid");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Register<T>(Locked<T>);

impl<T> Register<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(Locked::new(value))
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Replaces the value and returns the previous one.
    pub fn replace(&self, value: T) -> T {
        mem::replace(&mut *self.0.lock(), value)
    }

    /// A copy of the value.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.0.lock().clone()
    }
}

impl<T: Default + PartialEq> Merge for Register<T> {
    fn merge(&mut self, other: Self) {
        if other != Self::default() {
            *self = other;
        }
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        if self == *base { theirs } else { self }
    }
}
