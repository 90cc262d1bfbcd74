//! Changes of the context.

use serde::{Deserialize, Serialize};

/// A change of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Adds to the counter.
    Count(i64),
    /// Inserts into the set.
    Tag(u8),
    /// Adds to an entry of the map.
    Tally(u8, i64),
    /// Appends an event.
    Log,
    /// Writes the register.
    Mark,
    /// Changes the value of one of the standard types.
    Value(ValueChange),
}

/// A change of a value of one of the standard types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueChange {
    /// Adds to an integer.
    Total(i64),
    /// Adds to a float.
    Ratio(i32),
    /// Appends to a `Vec`.
    Numbers(u32),
    /// Appends four letters to a `String`.
    Words(u16),
    /// Adds to an entry of a `HashMap`.
    Table(u8, i64),
    /// Adds to an entry of a `BTreeMap`.
    Tree(u8, i64),
    /// Inserts into a `HashSet`.
    Names(u8),
    /// Inserts into a `BTreeSet`.
    Order(u8),
    /// Adds to an `Option`.
    Maybe(i64),
    /// Adds to the first and appends to the second part of a tuple.
    Pair(i64, u32),
    /// Sets a `bool`.
    Flag,
}
