//! `Merge` for `Option`, maps and sets of the standard library, by key.

use super::Merge;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, Hash},
};

/// Rebases a value that may be absent. Where only one side changed it, that side is returned as it is.
fn rebase_option<V: Merge + PartialEq>(mine: Option<V>, base: Option<&V>, theirs: Option<V>) -> Option<V> {
    if mine.as_ref() == base {
        return theirs;
    }
    if theirs.as_ref() == base {
        return mine;
    }
    match (mine?, base, theirs) {
        // The others may have removed the value before; the change then applies to the default.
        (mine, Some(base), theirs) => Some(mine.rebase(base, theirs.unwrap_or_default())),
        (mine, None, theirs) => Some(merged(theirs.unwrap_or_default(), mine)),
    }
}

fn merged<V: Merge>(mut earlier: V, later: V) -> V {
    earlier.merge(later);
    earlier
}

/// As a map with one key: two values are merged or rebased; setting and clearing are changes, and the later one wins.
impl<T: Merge + PartialEq> Merge for Option<T> {
    fn merge(&mut self, other: Self) {
        *self = match (self.take(), other) {
            (Some(mine), Some(other)) => Some(merged(mine, other)),
            (mine, other) => mine.or(other),
        };
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        rebase_option(self, base.as_ref(), theirs)
    }
}

macro_rules! merge_map {
    ($map:ty, [$($generics:tt)+]) => {
        impl<$($generics)+> Merge for $map {
            fn merge(&mut self, other: Self) {
                for (key, value) in other {
                    let value = match self.remove(&key) {
                        Some(mine) => merged(mine, value),
                        None => value,
                    };
                    self.insert(key, value);
                }
            }

            fn rebase(self, base: &Self, mut theirs: Self) -> Self {
                for key in base.keys().filter(|key| !self.contains_key(*key)) {
                    theirs.remove(key);
                }
                for (key, mine) in self {
                    // Most keys did not change, so their values are not moved out and in again.
                    let old = base.get(&key);
                    if old == Some(&mine) {
                        continue;
                    }
                    if let Some(value) = rebase_option(Some(mine), old, theirs.remove(&key)) {
                        theirs.insert(key, value);
                    }
                }
                theirs
            }
        }
    };
}

merge_map!(BTreeMap<K, V>, [K: Ord, V: Merge + PartialEq]);
merge_map!(HashMap<K, V, S>, [K: Eq + Hash, V: Merge + PartialEq, S: BuildHasher + Default]);

macro_rules! merge_set {
    ($set:ty, [$($generics:tt)+]) => {
        impl<$($generics)+> Merge for $set {
            fn merge(&mut self, other: Self) {
                self.extend(other);
            }

            fn rebase(self, base: &Self, mut theirs: Self) -> Self {
                for member in base.iter().filter(|member| !self.contains(*member)) {
                    theirs.remove(member);
                }
                theirs.extend(self.into_iter().filter(|member| !base.contains(member)));
                theirs
            }
        }
    };
}

merge_set!(BTreeSet<T>, [T: Ord]);
merge_set!(HashSet<T, S>, [T: Eq + Hash, S: BuildHasher + Default]);

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Merge};
    use crate::merge::Register;

    fn map<V>(entries: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<&'static str, V> {
        entries.into_iter().collect()
    }

    #[test]
    fn a_changed_key_comes_back_with_the_change_alone() {
        assert_eq!(map([("k", 7)]).rebase(&map([("k", 5)]), map([])), map([("k", 2)]));
    }

    #[test]
    fn an_untouched_key_stays_removed() {
        assert_eq!(map([("k", 5), ("l", 1)]).rebase(&map([("k", 5)]), map([])), map([("l", 1)]));
    }

    #[test]
    fn a_removal_beats_an_earlier_change() {
        assert_eq!(map([]).rebase(&map([("k", 5)]), map([("k", 6)])), map([]));
    }

    #[test]
    fn registers_in_a_map_take_the_later_write() {
        let map = |value: &str| map([("k", Register::new(value.to_owned()))]);
        assert_eq!(map("mine").rebase(&map("base"), map("theirs")), map("mine"));
        assert_eq!(map("base").rebase(&map("base"), map("theirs")), map("theirs"));
        assert_eq!(map("mine").rebase(&BTreeMap::new(), map("theirs")), map("mine"));
    }

    /// Sums without a `rebase` of its own, as a user may write it.
    #[derive(Debug, Default, PartialEq)]
    struct Sum(u32);

    impl Merge for Sum {
        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }
    }

    #[test]
    fn a_value_that_one_side_changed_is_not_merged() {
        let map = |value| map([("k", Sum(value))]);
        assert_eq!(map(3).rebase(&map(2), map(2)), map(3));
        assert_eq!(map(2).rebase(&map(2), map(3)), map(3));
        assert_eq!(Some(Sum(3)).rebase(&Some(Sum(2)), Some(Sum(2))), Some(Sum(3)));
    }
}
