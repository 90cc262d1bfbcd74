//! `Merge` for tuples, element by element.

use super::Merge;

impl Merge for () {
    fn merge(&mut self, (): Self) {}
}

macro_rules! merge_tuples {
    ($(($($part:ident $index:tt),+))+) => {$(
        impl<$($part: Merge),+> Merge for ($($part,)+) {
            fn merge(&mut self, other: Self) {
                $(self.$index.merge(other.$index);)+
            }

            fn rebase(self, base: &Self, theirs: Self) -> Self {
                ($(self.$index.rebase(&base.$index, theirs.$index),)+)
            }
        }
    )+};
}

merge_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
