//! What goes by key: options, maps and sets.

use super::{Map, Register, Set, obeys_the_laws};
use proptest::{
    collection::btree_map,
    prelude::{Just, Strategy, any},
    prop_oneof,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A change to a place that may be empty.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Add(i64),
    Empty,
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        2 => prop_oneof![-99..0_i64, 1..100_i64].prop_map(Place::Add),
        1 => Just(Place::Empty),
    ]
}

pub(super) fn places() -> impl Strategy<Value = BTreeMap<u8, Place>> {
    btree_map(0..5_u8, place(), 0..4)
}

fn members() -> impl Strategy<Value = BTreeMap<u8, bool>> {
    btree_map(0..6_u8, any::<bool>(), 0..4)
}

#[test]
fn option() {
    obeys_the_laws(place(), |value: &mut Option<i64>, seen, what| match what {
        Place::Add(n) => *value.get_or_insert_default() += n,
        Place::Empty if seen.is_some() => *value = None,
        Place::Empty => {}
    });
}

/// Maps and sets of all kinds have the same methods.
macro_rules! collections_obey_the_laws {
    (maps { $($map_test:ident: $map:ty;)+ } sets { $($set_test:ident: $set:ty;)+ }) => {
        $(
            #[test]
            fn $map_test() {
                obeys_the_laws(places(), |value: &mut $map, seen, what| {
                    for (key, what) in what {
                        match what {
                            Place::Add(n) => *value.entry(*key).or_default() += n,
                            Place::Empty if seen.contains_key(key) => drop(value.remove(key)),
                            Place::Empty => {}
                        }
                    }
                });
            }
        )+
        $(
            #[test]
            fn $set_test() {
                obeys_the_laws(members(), |value: &mut $set, seen, what| {
                    for (member, present) in what {
                        match present {
                            true if !seen.contains(member) => drop(value.insert(*member)),
                            false if seen.contains(member) => drop(value.remove(member)),
                            _ => {}
                        }
                    }
                });
            }
        )+
    };
}

collections_obey_the_laws! {
    maps {
        hash_map_of_counters: HashMap<u8, i64>;
        btree_map_of_counters: BTreeMap<u8, i64>;
    }
    sets {
        set: Set<u8>;
        hash_set: HashSet<u8>;
        btree_set: BTreeSet<u8>;
    }
}

#[test]
fn map_of_counters() {
    obeys_the_laws(places(), |value: &mut Map<u8, i64>, seen, what| {
        for (key, what) in what {
            match what {
                Place::Add(n) => value.update(*key, |value| *value += n),
                Place::Empty if seen.contains_key(key) => drop(value.remove(key)),
                Place::Empty => {}
            }
        }
    });
}

#[test]
fn map_of_registers() {
    let writes = btree_map(0..5_u8, 1..9_u8, 0..4);
    obeys_the_laws(writes, |value: &mut Map<u8, Register<u8>>, seen, writes| {
        for (key, written) in writes {
            let written = Register::new(*written);
            if seen.get(key).as_ref() != Some(&written) {
                value.insert(*key, written);
            }
        }
    });
}
