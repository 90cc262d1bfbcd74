//! Laws of options, maps and sets.

use super::{Map, Register, Set, check_laws};
use proptest::{
    collection::btree_map,
    prelude::{Just, Strategy, any},
    prop_oneof,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A change of a value that may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Add(i64),
    Remove,
}

fn keyed_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => prop_oneof![-99..0_i64, 1..100_i64].prop_map(Change::Add),
        1 => Just(Change::Remove),
    ]
}

pub(super) fn keyed_changes() -> impl Strategy<Value = BTreeMap<u8, Change>> {
    btree_map(0..5_u8, keyed_change(), 0..4)
}

fn members() -> impl Strategy<Value = BTreeMap<u8, bool>> {
    btree_map(0..6_u8, any::<bool>(), 0..4)
}

#[test]
fn option() {
    check_laws(keyed_change(), |value: &mut Option<i64>, seen, what| match what {
        Change::Add(n) => *value.get_or_insert_default() += n,
        Change::Remove if seen.is_some() => *value = None,
        Change::Remove => {}
    });
}

/// Maps and sets of all kinds have the same methods.
macro_rules! check_collection_laws {
    (maps { $($map_test:ident: $map:ty;)+ } sets { $($set_test:ident: $set:ty;)+ }) => {
        $(
            #[test]
            fn $map_test() {
                check_laws(keyed_changes(), |value: &mut $map, seen, what| {
                    for (key, what) in what {
                        match what {
                            Change::Add(n) => *value.entry(*key).or_default() += n,
                            Change::Remove if seen.contains_key(key) => drop(value.remove(key)),
                            Change::Remove => {}
                        }
                    }
                });
            }
        )+
        $(
            #[test]
            fn $set_test() {
                check_laws(members(), |value: &mut $set, seen, what| {
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

check_collection_laws! {
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
    check_laws(keyed_changes(), |value: &mut Map<u8, i64>, seen, what| {
        for (key, what) in what {
            match what {
                Change::Add(n) => value.update(*key, |value| *value += n),
                Change::Remove if seen.contains_key(key) => drop(value.remove(key)),
                Change::Remove => {}
            }
        }
    });
}

#[test]
fn map_of_registers() {
    let writes = btree_map(0..5_u8, 1..9_u8, 0..4);
    check_laws(writes, |value: &mut Map<u8, Register<u8>>, seen, writes| {
        for (key, written) in writes {
            let written = Register::new(*written);
            if seen.get(key).as_ref() != Some(&written) {
                value.insert(*key, written);
            }
        }
    });
}
