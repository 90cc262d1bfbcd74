//! Contexts: whatever decodes as one can be merged and rebased, and encoded again.

use bytes::Bytes;
use ciborium::Value;
use jetway_core::{Counter, EventLog, Fixed, List, Map, Merge, Register, Set, SharedState};
use jetway_state::codec;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A context of everything that merges.
#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway_macros::Merge)]
#[serde(default)]
struct All {
    counter: Counter,
    fixed: Fixed<u8>,
    list: List<String>,
    map: Map<String, i64>,
    registers: Map<u8, Register<Option<String>>>,
    set: Set<u16>,
    log: EventLog<String>,
    shared: SharedState<Vec<i32>>,
    register: Register<String>,
    text: String,
    letters: Vec<char>,
    signed: (i8, i16, i32, i64, i128, isize),
    unsigned: (u8, u16, u32, u64, u128, usize),
    floats: (f32, f64, bool),
    option: Option<Counter>,
    tree: BTreeMap<u8, BTreeMap<String, u8>>,
    hash: HashMap<String, Vec<u8>>,
    members: (BTreeSet<i8>, HashSet<String>),
    nothing: (),
}

/// Three contexts, one after the other: what both changed, and how.
pub(crate) fn merging(bytes: &[u8]) -> bool {
    let third = bytes.len() / 3;
    let places = bytes.first().map_or([third, 2 * third], |first| {
        let cut = usize::from(*first) * bytes.len() / 256;
        [cut / 2, cut]
    });
    let rest = bytes.get(1..).unwrap_or_default();
    let at = places.map(|place| place.min(rest.len()));
    let parts = [&rest[..at[0]], &rest[at[0]..at[1]], &rest[at[1]..]];
    let [base, mine, theirs] = parts.map(|part| codec::decode::<All>(part, "the context").ok());
    let understood = [&base, &mine, &theirs].iter().filter(|part| part.is_some()).count();
    let [base, mine, theirs] = [base, mine, theirs].map(Option::unwrap_or_default);
    let rebased = written(&mine).rebase(&base, written(&theirs));
    written(&rebased);
    let mut merged = written(&theirs);
    merged.merge(written(&mine));
    written(&merged);
    // Nothing was changed on one side, so the other side stands.
    let unchanged = look(&written(&base).rebase(&base, written(&theirs)));
    assert_eq!(unchanged, look(&theirs), "nothing was changed, and something is");
    understood > 0
}

/// A context as it comes back from where it is kept.
fn written(context: &All) -> All {
    codec::decode(&encoded(context), "the context").expect("what was written can be read")
}

fn encoded(context: &All) -> Bytes {
    codec::encode(context, "the context").expect("a context can be written")
}

/// A context as it looks: hash maps and sets have no order, and what was set once does not change.
fn look(context: &All) -> Bytes {
    let mut look: Value = codec::decode(&encoded(context), "the context").expect("it is a value");
    if let Value::Map(fields) = &mut look {
        fields.retain(|(name, _)| name.as_text() != Some("fixed"));
    }
    sort(&mut look);
    codec::encode(&look, "a value").expect("a value can be written")
}

fn sort(value: &mut Value) {
    let key = |value: &Value| codec::encode(value, "a value").expect("a value can be written");
    match value {
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| sort(value));
            entries.sort_by_cached_key(|(name, _)| key(name));
            // The only set without an order.
            let members = entries.iter_mut().find(|(name, _)| name.as_text() == Some("members"));
            if let Some((_, Value::Array(sets))) = members
                && let Some(Value::Array(members)) = sets.last_mut()
            {
                members.sort_by_cached_key(key);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(sort),
        _ => {}
    }
}
