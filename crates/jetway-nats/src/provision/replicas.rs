//! How many replicas the streams of a namespace have: as recorded on the server.
//!
//! The record is in the metadata of the bucket of snapshots (for stores: of their values), which every host reads. Hosts
//! follow it, unless their configuration has a number.

use crate::{
    config::NatsConfig,
    names::{Names, REPLICAS_RECORD, Stream},
    session::{Connection, api},
};
use async_nats::jetstream::{ErrorCode, stream::Config};
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// The configuration of the bucket with the record of its replicas.
pub(crate) fn recorded(mut config: Config) -> Config {
    config.metadata.insert(REPLICAS_RECORD.to_owned(), config.num_replicas.to_string());
    config
}

/// For how many replicas the bucket says that the namespace is set up. Somebody may have given it more.
pub(crate) fn record_of(bucket: &Config) -> usize {
    let recorded = bucket.metadata.get(REPLICAS_RECORD).and_then(|replicas| replicas.parse().ok());
    recorded.unwrap_or(1).max(bucket.num_replicas)
}

/// How many replicas the streams should have: as configured, else as recorded, else 1.
pub(super) async fn wanted(
    connection: &Connection,
    names: &Names,
    config: &NatsConfig,
    streams: &[Stream],
) -> Result<usize, BackendError> {
    let record = streams.iter().find(|stream| matches!(stream, Stream::Runs | Stream::StoreState));
    let (None, Some(record)) = (config.replicas, record) else {
        return Ok(config.replicas.unwrap_or(1));
    };
    let name = names.stream(*record);
    match api::stream_info(connection, &name).await {
        Ok(info) => Ok(record_of(&info.config)),
        Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(1),
        Err(failure) => Err(super::unreadable(failure, &name, connection)),
    }
}

/// How many replicas to expect of a stream that was found.
///
/// # Errors
/// `Misconfigured` if it has fewer than this host asks for, with the command that changes them.
pub(super) fn accepted(found: &Config, wanted: usize, config: &NatsConfig) -> Result<usize, BackendError> {
    let (name, is, namespace) = (&found.name, found.num_replicas, &config.namespace);
    if is >= wanted {
        // Who asks for no number accepts more.
        return Ok(config.replicas.map_or(is, |_asked| wanted));
    }
    if config.replicas.is_some() {
        let sentence = format!(
            "stream {name} has num_replicas = {is}, and this host asks for {wanted}: run `jetway setup --replicas {wanted} \
             --namespace {namespace}` once, or start the host without a number of replicas"
        );
        return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
    }
    tracing::warn!(
        stream = name,
        replicas = is,
        "the namespace is set up for {wanted} replicas, and the stream has fewer: run `jetway setup --namespace {namespace}`"
    );
    Ok(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(num_replicas: usize, record: Option<&str>) -> Config {
        let mut config = Config { num_replicas, ..Config::default() };
        config.metadata.extend(record.map(|record| (REPLICAS_RECORD.to_owned(), record.to_owned())));
        config
    }

    #[test]
    fn f8_the_record_is_followed() {
        assert_eq!(record_of(&recorded(bucket(3, None))), 3);
        assert_eq!(record_of(&bucket(1, Some("3"))), 3);
        assert_eq!(record_of(&bucket(3, Some("1"))), 3);
        assert_eq!(record_of(&bucket(1, Some("many"))), 1);
        let following = NatsConfig::default();
        assert_eq!(accepted(&bucket(1, None), 3, &following).unwrap(), 1);
        assert_eq!(accepted(&bucket(5, None), 3, &following).unwrap(), 5);
        let asking = NatsConfig { replicas: Some(3), ..following };
        let refused = accepted(&bucket(1, None), 3, &asking).unwrap_err().to_string();
        assert!(refused.contains("jetway setup --replicas 3 --namespace default"), "{refused}");
    }
}
