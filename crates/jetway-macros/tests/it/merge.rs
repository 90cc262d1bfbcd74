//! `derive(Merge)`: field by field, over a common base.

use jetway_core::Merge;

/// A counter whose merge adds and whose rebase adds the difference.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sum(u32);

impl Merge for Sum {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self(theirs.0 + self.0 - base.0)
    }
}

#[derive(Debug, Default, Clone, PartialEq, jetway_macros::Merge)]
struct Named<T: Clone> {
    r#type: Sum,
    inner: Pair<T>,
}

#[derive(Debug, Default, Clone, PartialEq, jetway_macros::Merge)]
struct Pair<T>(T, Sum);

#[derive(Debug, Default, Clone, PartialEq, jetway_macros::Merge)]
struct Unit;

#[derive(Debug, Default, Clone, PartialEq, jetway_macros::Merge)]
struct Empty {}

fn named(a: u32, b: u32, c: u32) -> Named<Sum> {
    Named { r#type: Sum(a), inner: Pair(Sum(b), Sum(c)) }
}

#[test]
fn merges_field_by_field() {
    let mut merged = named(1, 2, 3);
    merged.merge(named(10, 20, 30));
    assert_eq!(merged, named(11, 22, 33));
    merged.merge(Named::default());
    assert_eq!(merged, named(11, 22, 33));
}

#[test]
fn rebases_field_by_field_without_duplicates() {
    let base = named(5, 5, 5);
    assert_eq!(named(6, 5, 7).rebase(&base, named(5, 9, 6)), named(6, 9, 8));
}

#[test]
fn structs_without_fields_can_be_merged() {
    let mut unit = Unit;
    unit.merge(Unit);
    assert_eq!(unit.rebase(&Unit, Unit), Unit);
    let mut empty = Empty {};
    empty.merge(Empty {});
    assert_eq!(empty.rebase(&Empty {}, Empty {}), Empty {});
}
