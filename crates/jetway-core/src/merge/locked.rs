//! The interior mutability of the types that merge.

use super::Merge;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    cell::Cell,
    fmt::{self, Debug, Formatter},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

thread_local! {
    static SHARING: Cell<bool> = const { Cell::new(false) };
}

/// A clone whose [`Locked`] values are shared with the original, for the context of a workflow within a step.
pub(crate) fn sharing<T: Clone>(original: &T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SHARING.set(self.0);
        }
    }
    let _restore = Restore(SHARING.replace(true));
    original.clone()
}

/// A value that is changed through `&self`. A clone is a separate copy, except within [`sharing`]. Printed and encoded
/// as the value.
///
/// A panic of another holder does not poison the value: the step that panicked fails, and its context is dropped.
#[derive(Default)]
pub(crate) struct Locked<T>(Arc<Mutex<T>>);

impl<T> Locked<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T
    where
        T: Default,
    {
        mem::take(&mut *self.lock())
    }
}

impl<T: Clone> Clone for Locked<T> {
    fn clone(&self) -> Self {
        if SHARING.get() { Self(Arc::clone(&self.0)) } else { Self::new(self.lock().clone()) }
    }
}

impl<T: Debug> Debug for Locked<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Locked<T> {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            let value = self.lock();
            return T::eq(&value, &value);
        }
        // Locked in the order of their addresses, so that concurrent `a == b` and `b == a` cannot deadlock.
        let (first, second) =
            if Arc::as_ptr(&self.0) < Arc::as_ptr(&other.0) { (self, other) } else { (other, self) };
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
        self.lock().merge(other.into_inner());
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self::new(self.into_inner().rebase(&base.lock(), theirs.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Locked, sharing};
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
    fn a_sharing_clone_shares() {
        let one = Locked::new(1);
        let two = sharing(&one);
        *two.lock() += 1;
        assert_eq!(format!("{one:?} {two:?} {:?}", one == two), "2 2 true");
        let three = one.clone();
        *three.lock() += 1;
        assert_eq!(*one.lock(), 2, "a later clone does not share");
    }

    #[test]
    fn a_value_equals_itself_and_its_copies() {
        let one = Locked::new(1);
        assert_eq!(one, one);
        assert_eq!(one, one.clone());
        assert_ne!(one, Locked::new(2));
    }
}
