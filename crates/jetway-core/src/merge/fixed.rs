//! [`Fixed`]: a value that is set once.

use super::Merge;
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// A value that is set once: merging keeps the value that was set first.
///
/// Encoded as `{"value": ..}`. A value from [`Fixed::default`] counts as not set, and is encoded with `"unset": true`.
///
/// ```
/// use jetway_core::merge::{Fixed, Merge};
///
/// let mut region = Fixed::new("eu");
/// region.merge(Fixed::new("us"));
/// assert_eq!(*region, "eu");
///
/// let mut unset = Fixed::<&str>::default();
/// unset.merge(Fixed::new("us"));
/// assert_eq!(*unset, "us");
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fixed<T> {
    value: T,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unset: bool,
}

impl<T> Fixed<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self { value, unset: false }
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }
}

impl<T: Default> Default for Fixed<T> {
    fn default() -> Self {
        Self { value: T::default(), unset: true }
    }
}

/// Compares the values.
impl<T: PartialEq> PartialEq for Fixed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Fixed<T> {}

impl<T> Deref for Fixed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> Merge for Fixed<T> {
    fn merge(&mut self, other: Self) {
        if self.unset {
            *self = other;
        }
    }

    fn rebase(self, _base: &Self, theirs: Self) -> Self {
        if theirs.unset { self } else { theirs }
    }
}

#[cfg(test)]
mod tests {
    use super::Fixed;

    #[test]
    fn a_set_value_is_encoded_under_one_key() {
        assert_eq!(serde_json::to_string(&Fixed::new(7)).unwrap(), r#"{"value":7}"#);
        let decoded: Fixed<u8> = serde_json::from_str(r#"{"value":7}"#).unwrap();
        assert!(!decoded.unset);
    }

    #[test]
    fn unset_survives_encoding() {
        let encoded = serde_json::to_string(&Fixed::<u8>::default()).unwrap();
        let decoded: Fixed<u8> = serde_json::from_str(&encoded).unwrap();
        assert!(decoded.unset);
    }
}
