//! Laws of numbers, registers, sequences and tuples.

use super::{Counter, Fixed, List, Merge, Register, Set, check_laws};
use proptest::{
    collection::{hash_map, vec},
    prelude::{Just, Strategy, any},
};
use serde::{Deserialize, Serialize};

fn items() -> impl Strategy<Value = Vec<u8>> {
    vec(0..3_u8, 0..4)
}

macro_rules! check_number_laws {
    ($($name:ident: $number:ty, $range:expr;)+) => {$(
        #[test]
        fn $name() {
            check_laws($range, |value: &mut $number, _, n| *value += n);
        }
    )+};
}

check_number_laws! {
    i8_adds: i8, -8..8_i8;
    i16_adds: i16, -100..100_i16;
    i32_adds: i32, -100..100_i32;
    i64_adds: i64, -100..100_i64;
    i128_adds: i128, -100..100_i128;
    isize_adds: isize, -100..100_isize;
    u8_adds: u8, 0..20_u8;
    u16_adds: u16, 0..100_u16;
    u32_adds: u32, 0..100_u32;
    u64_adds: u64, 0..100_u64;
    u128_adds: u128, 0..100_u128;
    usize_adds: usize, 0..100_usize;
    f32_adds: f32, (-100..100_i8).prop_map(f32::from);
    f64_adds: f64, (-100..100_i8).prop_map(f64::from);
}

#[test]
fn counter() {
    check_laws(vec(-9..9_i64, 0..3), |value: &mut Counter, _, ns| {
        for n in ns {
            value.add(*n);
        }
    });
}

#[test]
fn flag() {
    check_laws(any::<bool>(), |value: &mut bool, seen, flag| {
        if flag != seen {
            *value = *flag;
        }
    });
}

#[test]
fn register() {
    check_laws(0..9_u8, |value: &mut Register<u8>, seen, written| {
        if seen.get() != *written {
            value.set(*written);
        }
    });
}

#[test]
fn fixed() {
    check_laws(1..9_u8, |value: &mut Fixed<u8>, _, written| {
        if **value == 0 {
            *value = Fixed::new(*written);
        }
    });
}

#[test]
fn list() {
    check_laws(items(), |value: &mut List<u8>, _, items| value.extend(items.clone()));
}

#[test]
fn vec_that_grows() {
    check_laws(items(), |value: &mut Vec<u8>, _, items| value.extend(items));
}

#[test]
fn string_that_grows() {
    check_laws("[a-cä]{0,3}", |value: &mut String, _, text| value.push_str(text));
}

/// A vector of fixed length whose slots are written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Slots(Vec<u8>);

impl Default for Slots {
    fn default() -> Self {
        Self(vec![0; 4])
    }
}

impl Merge for Slots {
    fn merge(&mut self, other: Self) {
        self.0 = other.0.rebase(&Self::default().0, std::mem::take(&mut self.0));
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        Self(self.0.rebase(&base.0, theirs.0))
    }
}

#[test]
fn vec_of_slots() {
    check_laws(hash_map(0..4_usize, 0..9_u8, 0..4), |value: &mut Slots, seen, writes| {
        for (slot, written) in writes.iter().filter(|(slot, written)| seen.0[**slot] != **written) {
            value.0[*slot] = *written;
        }
    });
}

#[test]
fn tuples() {
    type Eight = (u32, List<u8>, i64, u8, f64, Counter, String, Set<u8>);
    check_laws(items(), |value: &mut Eight, seen, items| {
        for item in items {
            value.0 += 1;
            value.1.push(*item);
            value.2 -= i64::from(*item);
            value.5.add(5);
            value.6.push('x');
            if !seen.7.contains(item) {
                value.7.insert(*item);
            }
        }
    });
    check_laws(0..9_u8, |value: &mut (u8,), _, n| value.0 += n);
    check_laws(Just(()), |(): &mut (), (), ()| {});
}
