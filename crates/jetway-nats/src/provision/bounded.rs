//! Streams that clients can fill have a limit by default, so that there is always room for commits.
//!
//! A server does not tell how much room its store has. But it refuses a stream whose limit is more than what it can reserve.
//! So such a stream is created with a large limit, which is then reduced to a share of it.

use crate::{
    config::NatsConfig,
    names::Stream,
    session::{Connection, Failure, api},
};
use async_nats::jetstream::{ErrorCode, stream};

const MIB: i64 = 1024 * 1024;

/// The reservations that are tried, in bytes.
const RESERVATIONS: [i64; 5] = [512 * MIB, 128 * MIB, 64 * MIB, 32 * MIB, 16 * MIB];

/// No limit is smaller, since the largest message has to fit.
const SMALLEST: i64 = 2 * MIB;

/// The share of what can be reserved that a stream may use: one of so many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreShare(i64);

/// The share of a stream that clients can fill. `None` for other streams, and if the limit is configured.
pub(super) fn share(config: &NatsConfig, stream: Stream) -> Option<StoreShare> {
    if config.max_stream_bytes.is_some() {
        return None;
    }
    match stream {
        Stream::Starts => Some(StoreShare(8)),
        Stream::Signals => Some(StoreShare(16)),
        Stream::Dead => Some(StoreShare(32)),
        _ => None,
    }
}

impl StoreShare {
    fn of(self, reserved: i64) -> i64 {
        (reserved / self.0).max(SMALLEST)
    }
}

/// Creates a stream, with a limit if it has a share.
pub(super) async fn create(
    connection: &Connection,
    expected: &stream::Config,
    share: Option<StoreShare>,
) -> Result<api::StreamInfo, Failure> {
    let Some(share) = share else { return api::create_stream(connection, expected).await };
    for max_bytes in RESERVATIONS {
        let reserving = stream::Config { max_bytes, ..expected.clone() };
        match api::create_stream(connection, &reserving).await {
            Ok(created) => return Ok(reduced(connection, created, share.of(max_bytes)).await),
            Err(failure) if is_too_large(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    tracing::warn!(
        stream = expected.name,
        "the server cannot reserve room for the stream, so it has no limit: clients can fill the store with it"
    );
    api::create_stream(connection, expected).await
}

/// Reduces the limit of a stream that was just created. Without the permission for that, it keeps the larger one.
async fn reduced(connection: &Connection, created: api::StreamInfo, max_bytes: i64) -> api::StreamInfo {
    let config = stream::Config { max_bytes, ..created.config.clone() };
    match api::update_stream(connection, &config).await {
        Ok(updated) => updated,
        Err(failure) => {
            let stream = &config.name;
            tracing::warn!(stream, error = %failure, "cannot reduce the limit of the stream to {max_bytes} bytes");
            created
        }
    }
}

fn is_too_large(failure: &Failure) -> bool {
    let too_large = [
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED,
    ];
    failure.code().is_some_and(|code| too_large.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_streams_that_clients_fill_have_a_share() {
        let config = NatsConfig::default();
        for stream in Stream::OF_HOSTS {
            let is_bounded = matches!(stream, Stream::Starts | Stream::Signals | Stream::Dead);
            assert_eq!(share(&config, stream).is_some(), is_bounded, "{stream:?}");
            let configured = NatsConfig { max_stream_bytes: Some(1), ..config.clone() };
            assert_eq!(share(&configured, stream), None, "{stream:?}");
        }
        assert_eq!(StoreShare(8).of(512 * MIB), 64 * MIB);
        assert_eq!(StoreShare(32).of(16 * MIB), SMALLEST);
    }
}
