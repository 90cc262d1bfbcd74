//! A compact set of positions.

use serde::{Deserialize, Serialize};

/// A set of positions, one bit each: ten thousand positions use 1,250 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BitSet {
    #[serde(with = "serde_bytes")]
    bits: Vec<u8>,
}

impl BitSet {
    /// Adds a position. Returns whether it is new.
    pub fn insert(&mut self, position: u32) -> bool {
        let (byte, bit) = split(position);
        if self.bits.len() <= byte {
            self.bits.resize(byte + 1, 0);
        }
        let new = self.bits[byte] & bit == 0;
        self.bits[byte] |= bit;
        new
    }

    /// Whether the set contains a position.
    pub fn contains(&self, position: u32) -> bool {
        let (byte, bit) = split(position);
        self.bits.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    /// Removes a position. Returns whether it was in the set.
    pub fn remove(&mut self, position: u32) -> bool {
        let (byte, bit) = split(position);
        let Some(bits) = self.bits.get_mut(byte).filter(|bits| **bits & bit != 0) else {
            return false;
        };
        *bits &= !bit;
        true
    }

    /// The lowest position.
    pub fn first(&self) -> Option<u32> {
        let byte = self.bits.iter().position(|bits| *bits != 0)?;
        Some(u32::try_from(byte).ok()? * 8 + self.bits[byte].trailing_zeros())
    }

    /// The positions, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bytes = (0_u32..).step_by(8).zip(&self.bits);
        bytes.flat_map(|(first, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }

    /// The highest position.
    pub fn last(&self) -> Option<u32> {
        let byte = self.bits.iter().rposition(|bits| *bits != 0)?;
        Some(u32::try_from(byte).ok()? * 8 + 7 - self.bits[byte].leading_zeros())
    }

    /// Whether both sets contain a common position.
    pub fn intersects(&self, other: &Self) -> bool {
        self.bits.iter().zip(&other.bits).any(|(one, other)| one & other != 0)
    }

    /// The number of positions.
    pub fn len(&self) -> u32 {
        self.bits.iter().map(|bits| bits.count_ones()).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }
}

fn split(position: u32) -> (usize, u8) {
    ((position / 8) as usize, 1 << (position % 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(numbers in prop::collection::vec(0_u32..500, 0..200)) {
            let mut positions = BitSet::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(positions.insert(number), model.insert(number));
            }
            prop_assert_eq!(positions.len() as usize, model.len());
            prop_assert_eq!(positions.first(), model.first().copied());
            prop_assert_eq!(positions.last(), model.last().copied());
            prop_assert_eq!(positions.intersects(&positions), !model.is_empty());
            let before = positions.clone();
            for number in (0..510).step_by(3) {
                prop_assert_eq!(positions.remove(number), model.remove(&number));
            }
            prop_assert_eq!(positions.first(), model.first().copied());
            prop_assert_eq!(positions.last(), model.last().copied());
            prop_assert_eq!(positions.intersects(&before), !model.is_empty());
            for number in 0..510 {
                prop_assert_eq!(positions.contains(number), model.contains(&number));
            }
        }
    }
}
