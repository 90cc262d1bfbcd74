//! `Merge` for numbers, as sums, and for `bool`, as a flag.

use super::Merge;

/// A sum: merging adds, rebasing adds the difference. The result is exact where it is in range, even if the difference
/// is not, and saturates otherwise.
macro_rules! merge_integers {
    ($add:ident, $subtract:ident: $($integer:ty)+) => {$(
        impl Merge for $integer {
            fn merge(&mut self, other: Self) {
                *self = self.saturating_add(other);
            }

            fn rebase(self, base: &Self, theirs: Self) -> Self {
                let difference = self.abs_diff(*base);
                if self < *base { theirs.$subtract(difference) } else { theirs.$add(difference) }
            }
        }
    )+};
}

merge_integers!(saturating_add_unsigned, saturating_sub_unsigned: i8 i16 i32 i64 i128 isize);
merge_integers!(saturating_add, saturating_sub: u8 u16 u32 u64 u128 usize);

/// A sum, with the rounding of the type. Infinities and NaN have no difference to other values: writing or overwriting
/// one replaces the value.
macro_rules! merge_floats {
    ($($float:ty)+) => {$(
        impl Merge for $float {
            fn merge(&mut self, other: Self) {
                *self += other;
            }

            fn rebase(self, base: &Self, theirs: Self) -> Self {
                if self.to_bits() == base.to_bits() {
                    theirs
                } else if theirs.to_bits() == base.to_bits() || !(self.is_finite() && base.is_finite()) {
                    self
                } else {
                    theirs + (self - base)
                }
            }
        }
    )+};
}

merge_floats!(f32 f64);

/// A flag: merging is a logical or, rebasing takes the later change.
impl Merge for bool {
    fn merge(&mut self, other: Self) {
        *self |= other;
    }

    fn rebase(self, base: &Self, theirs: Self) -> Self {
        if self == *base { theirs } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::Merge;

    #[test]
    fn a_result_in_range_is_exact_though_the_difference_is_not() {
        assert_eq!(i8::MAX.rebase(&i8::MIN, i8::MIN), i8::MAX);
        assert_eq!(i8::MIN.rebase(&i8::MAX, i8::MAX), i8::MIN);
        assert_eq!(3_u8.rebase(&200, 250), 53);
        assert_eq!(i128::MAX.rebase(&i128::MIN, -1), i128::MAX);
    }

    #[test]
    fn a_result_out_of_range_is_the_bound() {
        assert_eq!(0_u32.rebase(&1, 0), 0);
        assert_eq!(200_u8.rebase(&100, 200), u8::MAX);
        assert_eq!((-100_i8).rebase(&0, -100), i8::MIN);
    }

    #[test]
    fn infinities_and_nan_are_written_like_registers() {
        assert_eq!(f64::INFINITY.rebase(&f64::INFINITY, 1.0), 1.0);
        assert_eq!(1.0.rebase(&f64::INFINITY, 5.0), 1.0);
        assert_eq!(f64::INFINITY.rebase(&1.0, 5.0), f64::INFINITY);
        assert_eq!(f64::NAN.rebase(&f64::NAN, 2.0), 2.0);
        assert!(f64::NAN.rebase(&1.0, 2.0).is_nan());
    }

    #[test]
    fn a_float_that_one_side_changed_is_not_rounded() {
        assert_eq!(0.1.rebase(&1e300, 1e300), 0.1);
    }
}
