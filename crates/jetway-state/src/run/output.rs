//! An output of a run, encoded.

use crate::{
    Error,
    json::{self, Json},
    value::{read, sum, write_cbor, write_opaque},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const WHAT: &str = "an output";

/// An output as the JSON that `serde_json` writes for its type, for clients. Where JSON does not give the same value back, as
/// for a float that is not a number, it has the value for its own type too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EncodedOutput {
    /// The JSON text. Empty in a run within one process, which has no clients.
    pub json: Bytes,
    /// The value for its type; `None` if the JSON is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Bytes>,
}

impl EncodedOutput {
    /// Encodes an output.
    ///
    /// # Errors
    /// [`Error::Codec`] if JSON cannot hold it, or if its type cannot read it again.
    pub fn new<O: Serialize + DeserializeOwned>(output: &O) -> Result<Self, Error> {
        let json = json::write(output, &WHAT)?;
        let read = json::read::<O>(&json, &WHAT);
        if let Ok(read) = &read
            && sum(read, false) == sum(output, false)
        {
            return Ok(Self { json: json.into(), exact: None });
        }
        match (write_cbor(output), read) {
            (Ok(exact), _) => Ok(Self { json: json.into(), exact: Some(exact) }),
            (Err(_), Ok(_)) => Ok(Self { json: json.into(), exact: None }),
            (Err(_), Err(Error::Codec { reason, .. })) => Err(Error::read_back(WHAT, reason)),
            (Err(_), Err(error)) => Err(error),
        }
    }

    /// Encodes an output that this process alone reads. It may be a value that JSON cannot hold.
    ///
    /// # Errors
    /// [`Error::Codec`] if its type cannot read it again.
    pub fn for_this_process<O: Serialize + DeserializeOwned>(output: &O) -> Result<Self, Error> {
        Ok(Self { json: Bytes::new(), exact: Some(write_opaque(output, &WHAT)?) })
    }

    /// The value.
    ///
    /// # Errors
    /// [`Error::Codec`] if it is not a value of this type.
    pub fn read<O: DeserializeOwned>(&self) -> Result<O, Error> {
        match &self.exact {
            Some(exact) => read(exact, &WHAT),
            None => json::read(&self.json, &WHAT),
        }
    }

    /// The JSON for clients.
    ///
    /// # Errors
    /// [`Error::Codec`] if the record has no valid JSON.
    pub fn to_json(&self) -> Result<Json, Error> {
        let text = String::from_utf8(self.json.to_vec()).map_err(|error| Error::decode(WHAT, error))?;
        Json::parse(text, WHAT)
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.json.len() + self.exact.as_ref().map_or(0, Bytes::len)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fmt::Debug};

    fn exact<O: Serialize + DeserializeOwned + PartialEq + Debug>(output: &O, json_is_exact: bool) {
        let encoded = EncodedOutput::new(output).unwrap();
        assert_eq!(encoded.json, serde_json::to_string(output).unwrap());
        assert_eq!(encoded.exact.is_none(), json_is_exact, "{output:?}");
        assert_eq!(encoded.read::<O>().unwrap(), *output);
        assert_eq!(encoded.to_json().unwrap().get(), serde_json::to_string(output).unwrap());
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum ByKey {
        Number(BTreeMap<u64, u8>),
        Text(BTreeMap<String, u8>),
    }

    #[test]
    fn f3_an_output_is_the_json_of_serde_json_and_exact() {
        exact(&(u128::MAX, i128::MIN, 0.1_f32, 5e-324, f64::MAX), true);
        exact(
            &BTreeMap::from([(7, Some("x"))])
                .into_iter()
                .map(|(k, v)| (k, v.map(str::to_owned)))
                .collect::<BTreeMap<i32, _>>(),
            true,
        );
        exact(&Some(f64::INFINITY), false);
        exact(&ByKey::Number(BTreeMap::from([(1, 2)])), false);
    }

    #[test]
    fn f2_an_output_that_its_type_cannot_read_is_refused() {
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "kind")]
        enum Payment {
            Wei { amount: u128 },
        }
        let refused = EncodedOutput::new(&Payment::Wei { amount: 1 }).unwrap_err().to_string();
        assert_eq!(refused, "cannot read back an output: u128 is not supported");
    }

    #[test]
    fn f3_a_value_that_json_cannot_hold_stays_in_its_process() {
        let pairs = BTreeMap::from([((1, 2), 3)]);
        let refused = EncodedOutput::new(&pairs).unwrap_err().to_string();
        assert_eq!(refused, "cannot encode an output: key must be a string");
        assert_eq!(
            EncodedOutput::for_this_process(&pairs).unwrap().read::<BTreeMap<(u8, u8), u8>>(),
            Ok(pairs)
        );
    }
}
