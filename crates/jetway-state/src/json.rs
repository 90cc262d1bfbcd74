//! CBOR values as JSON, for users and for clients in other languages.

use crate::Error;
use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value as Json};

/// Converts an encoded value into the JSON that `serde_json` would write for it: bytes become a list of numbers, keys become
/// strings, a number that JSON cannot represent becomes null.
///
/// # Errors
/// [`Error::Codec`] if the bytes are not CBOR.
pub fn from_cbor(bytes: &[u8]) -> Result<Json, Error> {
    let value: Cbor = ciborium::from_reader(bytes).map_err(|error| Error::decode("a value", error))?;
    Ok(json(value))
}

fn json(value: Cbor) -> Json {
    match value {
        Cbor::Integer(number) => integer(i128::from(number)),
        Cbor::Bytes(bytes) => bytes.into_iter().map(Json::from).collect(),
        Cbor::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Cbor::Text(text) => Json::String(text),
        Cbor::Bool(truth) => Json::Bool(truth),
        Cbor::Tag(_, inner) => json(*inner),
        Cbor::Array(values) => values.into_iter().map(json).collect(),
        Cbor::Map(entries) => Json::Object(
            entries.into_iter().map(|(key, value)| (text(key), json(value))).collect::<Map<_, _>>(),
        ),
        _ => Json::Null,
    }
}

fn integer(number: i128) -> Json {
    u64::try_from(number)
        .map(Json::from)
        .or_else(|_| i64::try_from(number).map(Json::from))
        .unwrap_or_else(|_| Number::from_f64(number as f64).map_or(Json::Null, Json::Number))
}

fn text(key: Cbor) -> String {
    match json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn values_read_as_serde_json_would_write_them() {
        let value = (BTreeMap::from([(1, -2.5)]), Some("x"), f64::NAN, u64::MAX, -7, ());
        let bytes = codec::encode(&value, "x").unwrap();
        assert_eq!(from_cbor(&bytes).unwrap(), json!([{"1": -2.5}, "x", null, u64::MAX, -7, null]));
        assert_eq!(from_cbor(&bytes).unwrap(), serde_json::to_value(&value).unwrap());
    }

    #[test]
    fn foreign_bytes_are_an_error() {
        assert!(from_cbor(&[0xff]).is_err());
    }
}
