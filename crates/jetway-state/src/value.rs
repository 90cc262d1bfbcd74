//! The encoding of users' values in records: work items and contexts.
//!
//! A value is CBOR. It is read back by its type before it is kept, so that nothing is kept that cannot be read. A value that
//! CBOR does not give back, because its type is made for texts that people read, is kept as JSON within CBOR (tag 262).
//! A value that neither gives back is an error.

use crate::{
    Error, codec,
    json::{self, MAX_DEPTH},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use std::fmt;

mod sum;

pub(crate) use sum::sum;

/// The CBOR tag 262, "embedded JSON", in front of a byte string.
const EMBEDDED_JSON: [u8; 3] = [0xd9, 0x01, 0x06];

/// What Jetway itself puts around a value: the variant and the fields of a work item, and the failures of failures. A value
/// that is accepted as JSON fits into a work item.
const AROUND: usize = 16;

/// Encodes a value that can be compared, such as a work item. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if no encoding gives the value back.
pub fn write<T>(value: &T, what: &dyn fmt::Display) -> Result<Bytes, Error>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    encode(value, None, what, T::eq)
}

/// Encodes a value that cannot be compared, such as a context. What it is read back as has to serialise to the same, in
/// any order.
///
/// # Errors
/// [`Error::Codec`] if no encoding gives the value back.
pub fn write_opaque<T: Serialize + DeserializeOwned>(
    value: &T,
    what: &dyn fmt::Display,
) -> Result<Bytes, Error> {
    write_changed(value, None, what)
}

/// As [`write_opaque`], for a value that was encoded as `before` and may have changed. An unchanged one is not read back.
///
/// # Errors
/// [`Error::Codec`] if no encoding gives the value back.
pub fn write_changed<T: Serialize + DeserializeOwned>(
    value: &T,
    before: Option<&Bytes>,
    what: &dyn fmt::Display,
) -> Result<Bytes, Error> {
    encode(value, before, what, |value, read| sum(value, true) == sum(read, true))
}

/// Reads what [`write`](write()) and [`write_opaque`] have written, or any CBOR. `what` names it in the error.
///
/// # Errors
/// [`Error::Codec`] if the bytes are not such a value.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &dyn fmt::Display) -> Result<T, Error> {
    match bytes.strip_prefix(&EMBEDDED_JSON) {
        Some(text) => json::read(&codec::decode::<ByteBuf>(text, "the JSON of a value")?, what),
        None => codec::decode_within(bytes, MAX_DEPTH + AROUND)
            .map_err(|reason| Error::decode(what.to_string(), reason)),
    }
}

/// CBOR that is read back as the value, for outputs that JSON changes.
pub(crate) fn write_cbor<T: Serialize + DeserializeOwned>(value: &T) -> Result<Bytes, Error> {
    let cbor = codec::encode(value, "a value")?;
    read::<T>(&cbor, &"a value")?;
    Ok(cbor)
}

fn encode<T: Serialize + DeserializeOwned>(
    value: &T,
    before: Option<&Bytes>,
    what: &dyn fmt::Display,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Bytes, Error> {
    let cbor = codec::encode_cbor(value).map_err(|error| error.to_string());
    if let (Ok(cbor), Some(before)) = (&cbor, before)
        && cbor == before
    {
        return Ok(cbor.clone());
    }
    let read_back = match &cbor {
        Ok(cbor) => read::<T>(cbor, &"").map_err(|error| reason_of(&error)),
        Err(error) => Err(error.clone()),
    };
    if let (Ok(cbor), Ok(read)) = (&cbor, &read_back)
        && same(value, read)
    {
        return Ok(cbor.clone());
    }
    if let Some((text, read)) = as_json::<T>(value)
        && (read_back.is_err() || same(value, &read))
    {
        return embedded(&text, what);
    }
    match (cbor, read_back) {
        // Some values equal nothing, not even themselves: those with a NaN.
        (Ok(cbor), Ok(_)) => Ok(cbor),
        (Err(error), _) => Err(Error::encode(what.to_string(), error)),
        (Ok(_), Err(reason)) => Err(Error::read_back(what.to_string(), reason)),
    }
}

/// The JSON of a value, and what it is read back as.
fn as_json<T: Serialize + DeserializeOwned>(value: &T) -> Option<(Vec<u8>, T)> {
    let text = json::write(value, &"").ok()?;
    let read = json::read(&text, &"").ok()?;
    Some((text, read))
}

fn embedded(text: &[u8], what: &dyn fmt::Display) -> Result<Bytes, Error> {
    let text = codec::encode(serde_bytes::Bytes::new(text), &what.to_string())?;
    Ok([&EMBEDDED_JSON, &text[..]].concat().into())
}

fn reason_of(error: &Error) -> String {
    match error {
        Error::Codec { reason, .. } => reason.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
