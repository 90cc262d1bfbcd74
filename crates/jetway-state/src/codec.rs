//! How snapshots and tickets become bytes: CBOR, and a versioned envelope around what is stored. The values of users have an
//! encoding of their own: [`value`](crate::value).

use crate::{Error, Fingerprint, json::too_deep};
use bytes::{BufMut, Bytes, BytesMut};
use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};

/// The latest format that this build reads.
pub const FORMAT: u16 = 3;

/// The format of what all builds can act on. They leave what is newer to hosts that know it.
pub(crate) const FIRST: u16 = 1;

/// The first bytes of an envelope.
const MAGIC: [u8; 2] = *b"JW";
const HEADER: usize = 12;

/// Why an envelope cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are not an envelope.
    #[error("{what} is not in Jetway's format: {bytes} bytes without its header")]
    Foreign {
        /// What the envelope should contain.
        what: &'static str,
        /// How many bytes there were.
        bytes: usize,
    },
    /// A newer build wrote it.
    #[error("{what} has format {found}; this build reads up to format {FORMAT}: update this host")]
    Newer {
        /// What the envelope should contain.
        what: &'static str,
        /// The format that was found.
        found: u16,
    },
    /// The body does not decode.
    #[error("cannot decode {what}: {reason}")]
    Corrupt {
        /// What the envelope should contain.
        what: &'static str,
        /// The error of the codec.
        reason: String,
    },
}

/// How the input of a start is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// CBOR.
    Cbor,
}

/// Encodes a value as CBOR. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if serde cannot serialise it.
pub fn encode<T: Serialize + ?Sized>(value: &T, what: &str) -> Result<Bytes, Error> {
    encode_cbor(value).map_err(|error| Error::encode(what, error))
}

pub(crate) fn encode_cbor<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Bytes, ciborium::ser::Error<std::io::Error>> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(value, &mut bytes)?;
    Ok(bytes.into())
}

/// Decodes a value from CBOR. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if the bytes are not such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Error> {
    whole(bytes).map_err(|reason| Error::decode(what, reason))
}

/// The same value with the entries of all its maps in the order of their encoded keys, as in section 4.2.1 of RFC 8949. Bytes
/// that are not CBOR are returned unchanged.
pub fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut sorted = Vec::with_capacity(bytes.len());
    match ciborium::from_reader(bytes).map(in_order) {
        Ok(value) if ciborium::into_writer::<Value, _>(&value, &mut sorted).is_ok() => sorted,
        Ok(_) | Err(_) => bytes.to_vec(),
    }
}

fn in_order(value: Value) -> Value {
    match value {
        Value::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (in_order(key), in_order(value)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by_cached_key(|(key, _)| {
                let mut bytes = Vec::new();
                // Cannot fail: the value was decoded, and a vector accepts all bytes.
                ciborium::into_writer(key, &mut bytes).map(|()| bytes).unwrap_or_default()
            });
            Value::Map(entries)
        }
        Value::Array(values) => Value::Array(values.into_iter().map(in_order).collect()),
        Value::Tag(tag, value) => Value::Tag(tag, Box::new(in_order(*value))),
        other => other,
    }
}

/// Encodes a value into an envelope: magic bytes, format number, the fingerprint of the workflow, CBOR.
///
/// # Errors
/// [`Error::Codec`] if serde cannot serialise it.
pub fn seal<T: Serialize + ?Sized>(value: &T, fingerprint: Fingerprint, what: &str) -> Result<Bytes, Error> {
    seal_as(FIRST, value, fingerprint, what)
}

/// As [`seal`], in a later format: earlier builds would take the value for something else.
pub(crate) fn seal_as<T: Serialize + ?Sized>(
    format: u16,
    value: &T,
    fingerprint: Fingerprint,
    what: &str,
) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(1024);
    bytes.put_slice(&MAGIC);
    bytes.put_u16(format);
    bytes.put_u64(fingerprint.0);
    let mut writer = bytes.writer();
    ciborium::into_writer(value, &mut writer).map_err(|error| Error::encode(what, error))?;
    Ok(writer.into_inner().freeze())
}

/// Opens an envelope.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn open<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<(T, Fingerprint), EnvelopeError> {
    let foreign = EnvelopeError::Foreign { what, bytes: bytes.len() };
    let (header, body) = bytes.split_at_checked(HEADER).ok_or_else(|| foreign.clone())?;
    let [m0, m1, f0, f1, fingerprint @ ..] = header else {
        return Err(foreign);
    };
    if [*m0, *m1] != MAGIC {
        return Err(foreign);
    }
    let found = u16::from_be_bytes([*f0, *f1]);
    // Formats are counted from 1.
    if found == 0 {
        return Err(foreign);
    }
    if found > FORMAT {
        return Err(EnvelopeError::Newer { what, found });
    }
    let fingerprint = fingerprint.try_into().map(u64::from_be_bytes).map_err(|_short| foreign)?;
    let value = whole(body).map_err(|reason| EnvelopeError::Corrupt { what, reason })?;
    Ok((value, Fingerprint(fingerprint)))
}

/// How deep our own records are, around the values of users, which are byte strings in them.
const RECORD_DEPTH: usize = 64;

/// Decodes bytes that are exactly one record.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    decode_within(bytes, RECORD_DEPTH)
}

/// Decodes bytes that are exactly one value, of at most `depth` levels.
pub(crate) fn decode_within<T: DeserializeOwned>(mut bytes: &[u8], depth: usize) -> Result<T, String> {
    let read = ciborium::de::from_reader_with_recursion_limit(&mut bytes, depth);
    let value = read.map_err(|error| in_words(&error))?;
    match bytes.len() {
        0 => Ok(value),
        more => Err(format!("{more} bytes follow the value")),
    }
}

fn in_words(error: &ciborium::de::Error<std::io::Error>) -> String {
    use ciborium::de::Error::{Io, RecursionLimitExceeded, Semantic, Syntax};
    match error {
        Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the data ends too early".to_owned()
        }
        Io(error) => error.to_string(),
        Syntax(at) => format!("byte {at} is not CBOR"),
        Semantic(Some(at), reason) => format!("{reason} (at byte {at})"),
        Semantic(None, reason) => reason.clone(),
        RecursionLimitExceeded => too_deep(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_envelope_opens_again() {
        let sealed = seal(&("a", 7), Fingerprint(9), "a pair").unwrap();
        assert_eq!(open::<(String, u8)>(&sealed, "a pair"), Ok((("a".to_owned(), 7), Fingerprint(9))));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut sealed = seal(&1_u8, Fingerprint(0), "x").unwrap().to_vec();
        sealed[2..4].copy_from_slice(&(FORMAT + 1).to_be_bytes());
        let refused = open::<u8>(&sealed, "a snapshot").unwrap_err();
        assert_eq!(refused, EnvelopeError::Newer { what: "a snapshot", found: FORMAT + 1 });
        assert!(refused.to_string().contains("update this host"));
    }

    #[test]
    fn format_zero_is_not_a_newer_format() {
        let mut sealed = seal(&1_u8, Fingerprint(0), "x").unwrap().to_vec();
        sealed[3] = 0;
        assert!(matches!(open::<u8>(&sealed, "a snapshot"), Err(EnvelopeError::Foreign { .. })));
    }

    #[test]
    fn bytes_behind_the_value_are_an_error() {
        let sealed = [&seal(&1_u8, Fingerprint(0), "x").unwrap()[..], b"ab"].concat();
        let refused = open::<u8>(&sealed, "a snapshot").unwrap_err();
        assert!(refused.to_string().contains("2 bytes follow the value"), "{refused}");
        assert!(decode::<u8>(&[1, 2], "x").is_err());
    }

    #[test]
    fn decoding_errors_say_what_is_wrong() {
        let said = |bytes: &[u8]| decode::<Vec<u8>>(bytes, "x").unwrap_err().to_string();
        assert!(said(&[0x82, 1]).contains("the data ends too early"), "{}", said(&[0x82, 1]));
        assert!(said(&[0x1c]).contains("byte 0 is not CBOR"), "{}", said(&[0x1c]));
        assert!(said(&[0x61, b'a']).contains("expected"), "{}", said(&[0x61, b'a']));
        assert!(said(&[0x81; 400]).contains("invalid type"), "{}", said(&[0x81; 400]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut marked = b"JW\x00\x02".to_vec();
            marked.extend(&bytes);
            let foreign = matches!(open::<u8>(&bytes, "x"), Err(EnvelopeError::Foreign { .. }));
            prop_assert!(foreign || bytes.starts_with(b"JW"));
            let newer = matches!(open::<String>(&marked, "x"), Err(EnvelopeError::Newer { .. }));
            prop_assert!(!newer);
        }
    }
}
