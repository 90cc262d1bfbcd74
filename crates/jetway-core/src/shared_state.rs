//! A value in a context that nodes lock and change.

use crate::Merge;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use std::{
    fmt::{self, Debug, Formatter},
    sync::{Arc, OnceLock},
};
use tokio::sync::{Mutex, MutexGuard};

/// A value in a context that nodes lock and change through `&C`.
///
/// Encoded as the value. A clone shares the value; a decoded copy and one made by [`detached`](Self::detached) do not.
///
/// Merged as the value itself, without waiting for the lock. Drop the guard before the node returns: encoding a context
/// whose value is locked, or was locked during a merge, is an error. It fails the step that left the value locked, so
/// that no change is lost silently.
///
/// ```
/// use jetway_core::SharedState;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let seen = SharedState::new(vec!["a"]);
/// seen.get().await.push("b");
/// assert_eq!(serde_json::to_string(&seen).unwrap(), r#"["a","b"]"#);
/// # }
/// ```
pub struct SharedState<T> {
    shared: Arc<Shared<T>>,
    /// A merge found the value locked, so a change is missing from it.
    incomplete: bool,
}

struct Shared<T> {
    value: Mutex<T>,
    /// Copies the value. Set by the first `clone`, because only a clone creates a second holder.
    copy: OnceLock<fn(&T) -> T>,
}

impl<T> SharedState<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        let shared = Shared { value: Mutex::new(value), copy: OnceLock::new() };
        Self { shared: Arc::new(shared), incomplete: false }
    }

    /// Locks the value, to read or change it. Drop the guard before the node returns.
    pub async fn get(&self) -> MutexGuard<'_, T> {
        self.shared.value.lock().await
    }

    /// Replaces the value.
    pub async fn set(&self, value: T) {
        *self.get().await = value;
    }

    /// A copy that shares nothing with this one; `None` while another task holds the lock.
    pub fn detached(&self) -> Option<Self>
    where
        T: Clone,
    {
        self.read().map(|value| Self::new(value.clone()))
    }

    /// The value; `None` where it is locked or incomplete.
    fn read(&self) -> Option<MutexGuard<'_, T>> {
        if self.incomplete { None } else { self.shared.value.try_lock().ok() }
    }

    /// The value: moved out where this is its only holder, otherwise copied.
    fn take_out(self) -> Result<T, Self> {
        if self.incomplete {
            return Err(self);
        }
        let shared = match Arc::try_unwrap(self.shared) {
            Ok(alone) => return Ok(alone.value.into_inner()),
            Err(shared) => shared,
        };
        let copied = match (shared.copy.get(), shared.value.try_lock()) {
            (Some(copy), Ok(value)) => Some(copy(&value)),
            _ => None,
        };
        copied.ok_or(Self { shared, incomplete: false })
    }

    fn into_incomplete(self) -> Self {
        Self { incomplete: true, ..self }
    }
}

impl<T: Clone> Clone for SharedState<T> {
    fn clone(&self) -> Self {
        self.shared.copy.get_or_init(|| T::clone);
        Self { shared: Arc::clone(&self.shared), incomplete: self.incomplete }
    }
}

impl<T: Default> Default for SharedState<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Debug> Debug for SharedState<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.shared.value.try_lock() {
            Ok(value) => f.debug_tuple("SharedState").field(&*value).finish(),
            Err(_locked) => f.write_str("SharedState(<locked>)"),
        }
    }
}

impl<T: Serialize> Serialize for SharedState<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const INCOMPLETE: &str = "a SharedState was locked while another step's changes were merged into it";
        const LOCKED: &str = "a SharedState is still locked";
        let value = self.read().ok_or_else(|| {
            let what = if self.incomplete { INCOMPLETE } else { LOCKED };
            S::Error::custom(format_args!("{what}: drop its guard before the node returns"))
        })?;
        value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for SharedState<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

/// `merge` changes the value that the clones of `self` share; the value of `other` stays as it is. `rebase` creates a
/// new value that only the result holds.
impl<T: Merge> Merge for SharedState<T> {
    fn merge(&mut self, other: Self) {
        if Arc::ptr_eq(&self.shared, &other.shared) {
            self.incomplete |= other.incomplete;
            return;
        }
        let merged = match (self.shared.value.try_lock(), other.take_out()) {
            (Ok(mut mine), Ok(other)) => {
                mine.merge(other);
                true
            }
            _ => false,
        };
        self.incomplete |= !merged;
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        if self.incomplete || base.incomplete {
            return theirs.into_incomplete();
        }
        // Two of the three may share one value. They are then equal, and must not be locked twice.
        if Arc::ptr_eq(&self.shared, &theirs.shared) || Arc::ptr_eq(&self.shared, &base.shared) {
            return theirs;
        }
        if Arc::ptr_eq(&base.shared, &theirs.shared) {
            return if theirs.incomplete { self.into_incomplete() } else { self };
        }
        let (Some(base), Ok(mine)) = (base.read(), self.take_out()) else {
            return theirs.into_incomplete();
        };
        match theirs.take_out() {
            Ok(theirs) => Self::new(mine.rebase(&base, theirs)),
            Err(theirs) => theirs.into_incomplete(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Merge, SharedState};
    use serde_json::json;

    fn encoded(state: &SharedState<i64>) -> Result<serde_json::Value, String> {
        serde_json::to_value(state).map_err(|error| error.to_string())
    }

    #[test]
    fn a_clone_shares_the_value_and_a_detached_one_does_not() {
        let one = SharedState::new(1);
        let (clone, copy) = (one.clone(), one.detached().unwrap());
        *one.shared.value.try_lock().unwrap() = 2;
        assert_eq!((encoded(&clone), encoded(&copy)), (Ok(json!(2)), Ok(json!(1))));
    }

    #[test]
    fn merging_adds_and_keeps_the_other_value() {
        for _both_orders_of_the_addresses in 0..2 {
            let (mut one, mut two) = (SharedState::new(1), SharedState::new(2));
            one.merge(two.clone());
            assert_eq!((encoded(&one), encoded(&two)), (Ok(json!(3)), Ok(json!(2))));
            two.merge(one.clone());
            assert_eq!((encoded(&one), encoded(&two)), (Ok(json!(3)), Ok(json!(5))));
            one.merge(one.clone());
            assert_eq!(encoded(&one), Ok(json!(3)));
        }
    }

    #[test]
    fn rebasing_copies_what_others_hold() {
        let (mine, base, theirs) = (SharedState::new(12), SharedState::new(10), SharedState::new(15));
        let result = mine.clone().rebase(&base, theirs.clone());
        assert_eq!(encoded(&result), Ok(json!(17)));
        assert_eq!((encoded(&mine), encoded(&theirs)), (Ok(json!(12)), Ok(json!(15))));
    }

    #[test]
    fn values_that_are_shared_are_rebased_as_equals() {
        let (one, two) = (SharedState::new(1), SharedState::new(2));
        assert_eq!(encoded(&one.clone().rebase(&one, two.clone())), Ok(json!(2)));
        assert_eq!(encoded(&one.clone().rebase(&two, two.clone())), Ok(json!(1)));
        assert_eq!(encoded(&one.clone().rebase(&two, one.clone())), Ok(json!(1)));
    }

    /// A value that can be merged but not cloned.
    #[derive(Default)]
    struct Unique(Vec<i64>);

    impl Merge for Unique {
        fn merge(&mut self, other: Self) {
            self.0.merge(other.0);
        }
    }

    #[test]
    fn a_value_that_cannot_be_cloned_is_merged() {
        let mut one = SharedState::new(Unique(vec![1]));
        one.merge(SharedState::new(Unique(vec![2])));
        let result = one.rebase(&SharedState::default(), SharedState::new(Unique(vec![3])));
        assert_eq!(result.read().unwrap().0, [3, 1, 2]);
    }

    #[tokio::test]
    async fn a_locked_value_is_an_error_where_it_is_encoded() {
        let state = SharedState::new(1);
        let guard = state.get().await;
        assert_eq!(format!("{state:?}"), "SharedState(<locked>)");
        assert!(encoded(&state).unwrap_err().contains("still locked"));
        assert!(state.detached().is_none());
        drop(guard);
        assert_eq!(encoded(&state), Ok(json!(1)));
    }

    #[tokio::test]
    async fn a_value_that_was_locked_during_a_merge_cannot_be_encoded() {
        let locked = SharedState::new(1);
        let clones = [locked.clone(), locked.clone(), locked.clone(), locked.clone()];
        let guard = locked.get().await;
        let [mut mine, other, rebased, theirs] = clones;
        mine.merge(SharedState::new(2));
        let mut free = SharedState::new(3);
        free.merge(other);
        let results = [
            mine,
            free,
            rebased.rebase(&SharedState::new(0), SharedState::new(4)),
            SharedState::new(5).rebase(&SharedState::new(0), theirs),
            SharedState::new(6).rebase(&locked, SharedState::new(7)),
        ];
        drop(guard);
        for result in results {
            assert!(encoded(&result).unwrap_err().contains("while another step's changes were merged"));
            let again = result.clone().rebase(&SharedState::new(0), SharedState::new(1));
            assert!(encoded(&again).is_err());
            assert!(encoded(&SharedState::new(1).rebase(&SharedState::new(0), result)).is_err());
        }
        assert_eq!(encoded(&locked), Ok(json!(1)));
    }
}
