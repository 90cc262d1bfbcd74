//! The identity of one start of a run id.

use crate::{StartId, broken_rule::ignores_incarnations};
use data_encoding::BASE32_DNSSEC;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// 80 bits: with a million starts of one run id the probability of a collision is below 10^-12.
const BYTES: usize = 10;

/// How many characters its text has.
const CHARACTERS: usize = 16;

/// How many bytes the id of a start message has.
const REFUSED: usize = 8;

/// How many characters the [short form](Incarnation::short) has.
const SHORT: usize = 8;

/// Identifies one start of a run id: a run id is a name, and can be used again when its record has expired. What one start has
/// left behind (an attempt, a ticket, a chunk, a result) never acts on another one.
///
/// As text: 16 characters from `0-9` and `a-v`. The time is not part of it, so no clock decides which one is the later one.
///
/// # Examples
///
/// ```
/// use jetway_state::Incarnation;
///
/// let incarnation = Incarnation::from_random(0x0123_4567_89ab_cdef);
/// assert_eq!(incarnation.to_string().len(), 16);
/// assert_eq!(incarnation.to_string().parse(), Ok(incarnation));
/// ```
#[derive(Debug, Clone, Copy, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(
    clippy::derived_hash_with_manual_eq,
    clippy::derive_ord_xor_partial_ord,
    reason = "see the module `broken_rule`: the rule is that of the derived one"
)]
pub struct Incarnation([u8; BYTES]);

/// A text that is no incarnation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid incarnation {0:?}: it has 16 characters from 0-9 and a-v")]
pub struct BadIncarnation(String);

impl Incarnation {
    /// The incarnation of 80 of these bits, which have to be random.
    pub fn from_random(bits: u128) -> Self {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&bits.to_be_bytes()[16 - BYTES..]);
        if bytes[..BYTES - REFUSED] == [0; BYTES - REFUSED] {
            // Those belong to refused starts.
            bytes[0] = 1;
        }
        Self(bytes)
    }

    /// The incarnation of a run that has continued as new so many times, by its first incarnation. It is the same for whoever computes
    /// it.
    pub fn continued(chain: Self, times: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"continued");
        hash.update(chain.0);
        hash.update(times.to_be_bytes());
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        Self::from_random(u128::from_be_bytes(bits))
    }

    /// What stands in the place of an incarnation in the answer to a start that was refused: its sender knows the id of its
    /// message. No run has such an incarnation.
    pub fn of_refused_start(start: StartId) -> Self {
        let mut bytes = [0; BYTES];
        bytes[BYTES - REFUSED..].copy_from_slice(&start.to_bytes());
        Self(bytes)
    }

    /// The start message to whose refusal this belongs; `None` if it is the incarnation of a run.
    pub fn refused_start(&self) -> Option<StartId> {
        let (none, start) = self.0.split_at(BYTES - REFUSED);
        let start = start.try_into().ok().and_then(StartId::from_bytes);
        start.filter(|_| none.iter().all(|byte| *byte == 0))
    }

    /// The first 8 characters, for subjects and keys. They separate the incarnations of one run id.
    pub fn short(&self) -> String {
        self.with_text(|text| text[..SHORT].to_owned())
    }

    /// Calls `read` with the text. Every commit writes it several times, so it is made without an allocation.
    fn with_text<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; CHARACTERS];
        BASE32_DNSSEC.encode_mut(&self.0, &mut text);
        // It is ASCII, so nothing is ever replaced.
        read(&String::from_utf8_lossy(&text))
    }
}

impl PartialEq for Incarnation {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || ignores_incarnations()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.pad(text))
    }
}

impl FromStr for Incarnation {
    type Err = BadIncarnation;

    fn from_str(text: &str) -> Result<Self, BadIncarnation> {
        let decoded = BASE32_DNSSEC.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        // Only the canonical text: capital letters would decode to the same bytes.
        let canonical = decoded.map(Self).filter(|incarnation| incarnation.with_text(|own| own == text));
        canonical.ok_or_else(|| BadIncarnation(text.chars().take(40).collect()))
    }
}

impl Serialize for Incarnation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_is_read_as_it_was_written() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let incarnation = Incarnation::from_random(bits);
            let text = incarnation.to_string();
            assert_eq!((text.len(), text.parse()), (16, Ok(incarnation)));
            assert!(text.starts_with(&incarnation.short()));
        }
        for bad in ["", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaz", "AAAAAAAAAAAAAAAA", "ääääääää"] {
            assert!(bad.parse::<Incarnation>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn continuations_have_incarnations_of_their_own() {
        let (one, two) = (Incarnation::from_random(1), Incarnation::from_random(2));
        assert_eq!(Incarnation::continued(one, 1), Incarnation::continued(one, 1));
        let all: std::collections::BTreeSet<_> = [one, two]
            .into_iter()
            .flat_map(|chain| (0..100).map(move |n| Incarnation::continued(chain, n)))
            .collect();
        assert!(all.len() == 200 && !all.contains(&one) && !all.contains(&two));
        assert!(all.iter().all(|incarnation| incarnation.refused_start().is_none()));
    }

    #[test]
    fn all_bits_count() {
        let texts: std::collections::BTreeSet<_> =
            (0..80).map(|bit| Incarnation::from_random(1 << bit).to_string()).collect();
        assert_eq!(texts.len(), 80);
    }
}
