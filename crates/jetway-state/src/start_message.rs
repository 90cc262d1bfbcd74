//! How the sender of a start message and its host know the message.

use serde::{Serialize, Serializer};
use std::{fmt, num::NonZeroU64, str::FromStr};

/// Identifies a start message, so that its sender knows which refusal is the answer to it. Its sequence does not: a stream of
/// starts that is made again begins with 1.
///
/// As text: 16 hexadecimal digits.
///
/// # Examples
///
/// ```
/// use jetway_state::StartId;
///
/// let id = StartId::from_random(0x0123_4567_89ab_cdef);
/// assert_eq!(id.to_string(), "0123456789abcdef");
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartId(NonZeroU64);

/// A text that is no id of a start message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid id of a start message {0:?}: it has 16 hexadecimal digits, and is not zero")]
pub struct BadStartId(String);

/// A start message, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StartMessage {
    /// Its sequence in the stream of starts.
    pub sequence: u64,
    /// What its sender has chosen to know it by.
    pub start_id: StartId,
}

/// How many digits an id has.
const DIGITS: usize = 16;

impl StartId {
    /// The id of these bits, which have to be random.
    pub fn from_random(bits: u64) -> Self {
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// The id of a message whose sender has chosen none. `published` is when the server stored it, in nanoseconds since 1970.
    ///
    /// Within a stream both numbers grow, so no two messages have the same sum. A stream that was made again has later times.
    pub fn of_stored(sequence: u64, published: u64) -> Self {
        Self::from_random(published.wrapping_add(sequence))
    }

    /// As bytes.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// From bytes. `None` for zeros alone.
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        NonZeroU64::new(u64::from_be_bytes(bytes)).map(Self)
    }
}

impl fmt::Display for StartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl FromStr for StartId {
    type Err = BadStartId;

    fn from_str(text: &str) -> Result<Self, BadStartId> {
        let is_hex = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        let id = bits.and_then(NonZeroU64::new).map(Self);
        id.ok_or_else(|| BadStartId(text.chars().take(40).collect()))
    }
}

impl Serialize for StartId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = StartId::from_random(bits);
            assert_eq!((id.to_string().len(), id.to_string().parse()), (16, Ok(id)));
        }
        for bad in ["", "0", "0000000000000000", "+123456789abcdef", "0123456789abcdefa", "ä"] {
            assert!(bad.parse::<StartId>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn u11_a_stream_that_is_made_again_has_other_ids() {
        assert_ne!(StartId::of_stored(1, 1_000_000), StartId::of_stored(1, 2_000_000));
        assert_ne!(StartId::of_stored(1, 1_000_000), StartId::of_stored(2, 1_000_000));
    }
}
