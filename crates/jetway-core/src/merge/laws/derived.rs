//! Laws of a struct with `derive(Merge)` and a field of every type that merges.

use super::{
    Counter, Fixed, List, Map, Register, Set, check_laws,
    collections::{Change, keyed_changes},
    context::{self, Context},
};
use proptest::{collection::vec, prelude::any};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Whole {
    adding: Adding<i64>,
    keyed: Keyed,
    written: Written,
    grown: Grown,
    /// Has a `SharedState` and an `EventLog`.
    context: Context,
    unit: (),
    nothing: Nothing,
}

/// Numbers, in a tuple struct with a type parameter.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Adding<T>(Counter, T, u32, f64);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Keyed {
    map: Map<u8, i64>,
    hash_map: HashMap<u8, i64>,
    btree_map: BTreeMap<u8, i64>,
    set: Set<u8>,
    hash_set: HashSet<u8>,
    btree_set: BTreeSet<u8>,
    option: Option<i64>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Written {
    register: Register<u8>,
    flag: bool,
    fixed: Fixed<u8>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Grown {
    list: List<u8>,
    vec: Vec<u8>,
    text: String,
    tuple: (List<u8>, i16),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, jetway_macros::Merge)]
struct Nothing;

impl<T: std::ops::AddAssign + From<u8>> Adding<T> {
    fn change(&mut self, items: &[u8]) {
        for item in items {
            self.0.add(i64::from(*item) - 1);
            self.1 += T::from(*item);
            self.2 += u32::from(*item);
            self.3 -= f64::from(*item);
        }
    }
}

impl Keyed {
    fn change(&mut self, seen: &Self, keyed_changes: &BTreeMap<u8, Change>) {
        for (key, what) in keyed_changes {
            match what {
                Change::Add(n) => self.add(seen, *key, *n),
                Change::Remove => self.remove(seen, *key),
            }
        }
    }

    fn add(&mut self, seen: &Self, key: u8, n: i64) {
        self.map.update(key, |value| *value += n);
        *self.hash_map.entry(key).or_default() += n;
        *self.btree_map.entry(key).or_default() += n;
        if !seen.set.contains(&key) {
            self.set.insert(key);
            self.hash_set.insert(key);
            self.btree_set.insert(key);
        }
        if key == 0 {
            *self.option.get_or_insert_default() += n;
        }
    }

    fn remove(&mut self, seen: &Self, key: u8) {
        if seen.btree_map.contains_key(&key) {
            self.map.remove(&key);
            self.hash_map.remove(&key);
            self.btree_map.remove(&key);
        }
        if seen.set.contains(&key) {
            self.set.remove(&key);
            self.hash_set.remove(&key);
            self.btree_set.remove(&key);
        }
        if key == 0 && seen.option.is_some() {
            self.option = None;
        }
    }
}

impl Written {
    fn change(&mut self, seen: &Self, written: u8) {
        if seen.register.get() != written {
            self.register.set(written);
        }
        if seen.flag != (written > 3) {
            self.flag = written > 3;
        }
        if *self.fixed == 0 {
            self.fixed = Fixed::new(written);
        }
    }
}

impl Grown {
    fn change(&mut self, items: &[u8]) {
        self.list.extend(items.to_vec());
        self.vec.extend(items);
        for item in items {
            self.text.push(char::from(b'a' + item));
            self.tuple.0.push(*item);
            self.tuple.1 += 1;
        }
    }
}

#[test]
fn derived_struct_with_every_type() {
    let changes = (keyed_changes(), vec(0..3_u8, 0..4), 1..9_u8, context::changes(), any::<bool>());
    check_laws(changes, |value: &mut Whole, seen, (keyed_changes, items, written, context, all)| {
        value.keyed.change(&seen.keyed, keyed_changes);
        value.grown.change(items);
        // Some steps change only a part of the fields.
        if *all {
            value.adding.change(items);
            value.written.change(&seen.written, *written);
            context::change(&mut value.context, &seen.context, context);
        }
    });
}
