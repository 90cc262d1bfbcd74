//! The interior mutability of the mergeable types.

use super::Merge;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt::{self, Debug, Formatter},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A value that is changed through `&self`. A clone is a copy that shares nothing. Printed and encoded as the
/// value.
///
/// A panic of another holder leaves the value usable: the step that panicked fails, and its context goes with
/// it.
#[derive(Default)]
pub(crate) struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Clone for Locked<T> {
    fn clone(&self) -> Self {
        Self::new(self.lock().clone())
    }
}

impl<T: Debug> Debug for Locked<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Locked<T> {
    fn eq(&self, other: &Self) -> bool {
        if ptr::eq(self, other) {
            let value = self.lock();
            return T::eq(&value, &value);
        }
        // Always in the order of the addresses, so that `a == b` and `b == a` at once cannot wait for each
        // other.
        let (first, second) =
            if ptr::from_ref(self) < ptr::from_ref(other) { (self, other) } else { (other, self) };
        *first.lock() == *second.lock()
    }
}

impl<T: Eq> Eq for Locked<T> {}

impl<T: Serialize> Serialize for Locked<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lock().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Locked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

impl<T: Merge> Merge for Locked<T> {
    fn merge(&mut self, other: Self) {
        self.get_mut().merge(other.into_inner());
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self::new(self.into_inner().rebase(&base.lock(), theirs.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::Locked;
    use std::thread;

    #[test]
    fn a_panic_of_another_holder_leaves_the_value_usable() {
        let value = Locked::new(1);
        let panicked = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let mut guard = value.lock();
                    *guard = 2;
                    panic!("while the lock is held");
                })
                .join()
        });
        assert!(panicked.is_err());
        assert_eq!(*value.lock(), 2);
        assert_eq!(value.clone().into_inner(), 2);
    }

    #[test]
    fn a_clone_shares_nothing() {
        let one = Locked::new(1);
        let two = one.clone();
        *one.lock() += 1;
        assert_eq!(format!("{one:?} {two:?}"), "2 1");
    }

    #[test]
    fn a_value_equals_itself_and_its_copies() {
        let one = Locked::new(1);
        assert_eq!(one, one);
        assert_eq!(one, one.clone());
        assert_ne!(one, Locked::new(2));
    }
}
