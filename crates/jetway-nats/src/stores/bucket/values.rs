//! Typed values: CBOR in an envelope.

use super::{Bucket, NewValue};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{Fingerprint, codec};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Takes the place of a workflow's fingerprint: values of stores do not depend on a graph.
const STORES: Fingerprint = Fingerprint(0x4a57_5354_4f52_4553);

/// The result of a change.
#[derive(Debug)]
pub(in crate::stores) enum Change<T> {
    /// The value stays as it is.
    Nothing,
    /// This value is written.
    Set(T),
    /// This value is written and expires after the time.
    SetFor(T, Duration),
}

impl Bucket {
    /// The value of a key.
    pub(in crate::stores) async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
        what: &'static str,
    ) -> Result<Option<T>, BackendError> {
        self.read(key).await?.map(|found| decode(&found.bytes, what)).transpose()
    }

    /// Changes the value of a key, see [`update`](Self::update). `change` is called again after a conflict.
    pub(in crate::stores) async fn change<T: Serialize + DeserializeOwned, R>(
        &self,
        key: &str,
        what: &'static str,
        mut change: impl FnMut(Option<T>) -> Result<(Change<T>, R), BackendError> + Send,
    ) -> Result<R, BackendError> {
        let changed = |bytes: Option<Bytes>| {
            let found = bytes.map(|bytes| decode(&bytes, what)).transpose()?;
            let (changed, answer) = change(found)?;
            let (value, keep) = match changed {
                Change::Nothing => return Ok((None, answer)),
                Change::Set(value) => (value, None),
                Change::SetFor(value, keep) => (value, Some(keep)),
            };
            Ok((Some(NewValue { bytes: encode(&value, what)?, keep }), answer))
        };
        self.update(key, changed).await
    }

    /// Writes a value, whatever the current one is.
    pub(in crate::stores) async fn put<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        keep: Option<Duration>,
        what: &'static str,
    ) -> Result<(), BackendError> {
        let bytes = encode(value, what)?;
        self.update(key, |_| Ok((Some(NewValue { bytes: bytes.clone(), keep }), ()))).await
    }

    /// The values of all matching keys, with their keys.
    pub(in crate::stores) async fn all<T: DeserializeOwned>(
        &self,
        filter: &str,
        what: &'static str,
    ) -> Result<Vec<(String, T)>, BackendError> {
        let listed = self.list(filter).await?;
        listed.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes, what)?))).collect()
    }
}

pub(in crate::stores) fn encode<T: Serialize>(value: &T, what: &'static str) -> Result<Bytes, BackendError> {
    codec::seal(value, STORES, what).map_err(|error| corrupt(format!("cannot encode {what}"), error))
}

pub(in crate::stores) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, BackendError> {
    let opened = codec::open(bytes, what);
    opened.map(|(value, _)| value).map_err(|error| corrupt(format!("cannot decode {what}"), error))
}

pub(in crate::stores) fn corrupt(
    sentence: String,
    error: impl std::error::Error + Send + Sync + 'static,
) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
}
