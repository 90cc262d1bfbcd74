//! Typed values: CBOR in an envelope.

use super::{Bucket, New};
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{Fingerprint, codec};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Stands where a workflow's fingerprint would: what stores keep is of no particular graph.
pub(in crate::stores) const STORES: Fingerprint = Fingerprint(0x4a57_5354_4f52_4553);

/// What a change does.
#[derive(Debug)]
pub(in crate::stores) enum Change<T> {
    /// It leaves things as they are.
    Nothing,
    /// This stays until it is replaced.
    Set(T),
    /// This expires.
    SetFor(T, Duration),
}

impl Bucket {
    /// The value of a key.
    pub(in crate::stores) async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
        what: &'static str,
    ) -> Result<Option<T>, BackendError> {
        self.read(key).await?.map(|found| opened(&found.bytes, what)).transpose()
    }

    /// Changes the value of a key, see [`update`](Self::update). `change` may be called again and again.
    pub(in crate::stores) async fn change<T: Serialize + DeserializeOwned, R>(
        &self,
        key: &str,
        what: &'static str,
        mut change: impl FnMut(Option<T>) -> Result<(Change<T>, R), BackendError> + Send,
    ) -> Result<R, BackendError> {
        let changed = |bytes: Option<Bytes>| {
            let found = bytes.map(|bytes| opened(&bytes, what)).transpose()?;
            let (changed, answer) = change(found)?;
            let (value, keep) = match changed {
                Change::Nothing => return Ok((None, answer)),
                Change::Set(value) => (value, None),
                Change::SetFor(value, keep) => (value, Some(keep)),
            };
            Ok((Some(New { bytes: sealed(&value, what)?, keep }), answer))
        };
        self.update(key, changed).await
    }

    /// Puts a value in place of whatever is there.
    pub(in crate::stores) async fn put<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        keep: Option<Duration>,
        what: &'static str,
    ) -> Result<(), BackendError> {
        let bytes = sealed(value, what)?;
        self.update(key, |_| Ok((Some(New { bytes: bytes.clone(), keep }), ()))).await
    }

    /// All values of the keys that match, with their keys.
    pub(in crate::stores) async fn all<T: DeserializeOwned>(
        &self,
        filter: &str,
        what: &'static str,
    ) -> Result<Vec<(String, T)>, BackendError> {
        let listed = self.list(filter).await?;
        listed.into_iter().map(|(key, bytes)| Ok((key, opened(&bytes, what)?))).collect()
    }
}

pub(in crate::stores) fn sealed<T: Serialize>(value: &T, what: &'static str) -> Result<Bytes, BackendError> {
    codec::seal(value, STORES, what).map_err(|error| corrupt(format!("{what} cannot be written"), error))
}

pub(in crate::stores) fn opened<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, BackendError> {
    let opened = codec::open(bytes, what);
    opened.map(|(value, _)| value).map_err(|error| corrupt(format!("{what} cannot be read"), error))
}

pub(in crate::stores) fn corrupt(
    sentence: String,
    error: impl std::error::Error + Send + Sync + 'static,
) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
}
