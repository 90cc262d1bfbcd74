//! Creates streams, buckets and consumers, and refuses existing ones that would break a guarantee.

mod bounded;
mod consumers;
mod drift;
mod made_again;
mod obsolete;
pub(crate) mod replicas;
pub(crate) mod streams;

pub(crate) use consumers::{ensure_consumer, ephemeral_consumer};
pub(crate) use made_again::{lost_with, streams_made_again};
pub(crate) use obsolete::obsolete_streams;

use crate::{
    config::{NatsConfig, Provisioning},
    names::{Names, Stream},
    session::{Connection, Failure, api},
};
use async_nats::jetstream::{ErrorCode, stream};
use bounded::StoreShare;
use futures::future::try_join_all;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Timestamp;

/// The configurations of the streams of a namespace.
pub(crate) struct Provisioned {
    streams: Vec<(Stream, stream::Config)>,
    /// Whether they were read from the server. Otherwise they are the expected ones, since this user may not read them.
    inspected: bool,
}

impl Provisioned {
    /// The number of replicas of snapshots, or of the values of stores. `None` if this user may not read it.
    pub(crate) fn replicas(&self) -> Option<usize> {
        let snapshots = self.config(Stream::Runs).or_else(|| self.config(Stream::StoreState));
        snapshots.filter(|_| self.inspected).map(|config| config.num_replicas)
    }

    /// For how many replicas the namespace is set up. `None` if this user may not read it.
    pub(crate) fn replicas_recorded(&self) -> Option<usize> {
        let snapshots = self.config(Stream::Runs).or_else(|| self.config(Stream::StoreState));
        snapshots.filter(|_| self.inspected).map(replicas::record_of)
    }

    /// Whether this user may ask for the configuration and the state of streams, and the server has answered.
    pub(crate) fn is_inspected(&self) -> bool {
        self.inspected
    }

    /// Whether a stream accepts atomic batches.
    pub(crate) fn accepts_batches(&self, stream: Stream) -> bool {
        self.config(stream).is_some_and(|config| config.allow_atomic_publish)
    }

    /// Whether a crash of the server may lose tickets or alarms that it has acknowledged.
    pub(crate) fn may_lose_tickets(&self) -> bool {
        let is_async = |config: &stream::Config| config.persist_mode == Some(stream::PersistenceMode::Async);
        [Stream::Tickets, Stream::Timers].into_iter().filter_map(|of| self.config(of)).any(is_async)
    }

    fn config(&self, stream: Stream) -> Option<&stream::Config> {
        self.streams.iter().find(|(name, _)| *name == stream).map(|(_, config)| config)
    }
}

/// The first version whose consumers continue correctly after their stream has lost its latest messages.
const RECOVERS_CONSUMERS: (i64, i64) = (2, 14);

/// Creates missing streams and buckets of the namespace and checks existing ones. Any number of hosts may do this at the
/// same time.
///
/// # Errors
/// `Misconfigured` with the stream, the field, its value, the expected value and the fix.
pub(crate) async fn provision(
    connection: &Connection,
    names: &Names,
    config: &NatsConfig,
    streams: &[Stream],
) -> Result<Provisioned, BackendError> {
    let again = MadeAgain { streams: &[], at: Timestamp(0) };
    provision_again(connection, names, config, streams, again).await
}

/// Streams that had disappeared while hosts were up.
pub(crate) struct MadeAgain<'a> {
    pub(crate) streams: &'a [Stream],
    /// The time of the server.
    pub(crate) at: Timestamp,
}

/// The same, where some of the streams had disappeared while hosts were up.
pub(crate) async fn provision_again(
    connection: &Connection,
    names: &Names,
    config: &NatsConfig,
    streams: &[Stream],
    again: MadeAgain<'_>,
) -> Result<Provisioned, BackendError> {
    let async_tickets = has_async_tickets(connection);
    let of = |stream, replicas| {
        let expected = streams::expected(names, config, stream, replicas, async_tickets);
        if again.streams.contains(&stream) { made_again::marked(expected, again.at) } else { expected }
    };
    if config.provisioning == Provisioning::Trust {
        let replicas = config.replicas.unwrap_or(1);
        let streams = streams.iter().map(|stream| (*stream, of(*stream, replicas))).collect();
        return Ok(Provisioned { streams, inspected: false });
    }
    let replicas = replicas::wanted(connection, names, config, streams).await?;
    let expected: Vec<_> = streams.iter().map(|stream| of(*stream, replicas)).collect();
    let shares = streams.iter().map(|stream| bounded::share(config, *stream));
    let wanted: Vec<_> = expected.iter().zip(shares).collect();
    // One after the other, since each of them reserves more than it keeps while it is created.
    for (expected, share) in wanted.iter().filter(|(_, share)| share.is_some()) {
        ensure(connection, config, expected, *share).await?;
    }
    let all = wanted.into_iter().map(|(expected, share)| ensure(connection, config, expected, share));
    let found = try_join_all(all).await?;
    for (stream, found) in streams.iter().zip(&found) {
        let replicas = replicas::accepted(found, replicas, config)?;
        drift::check(found, &of(*stream, replicas))?;
    }
    Ok(Provisioned { streams: streams.iter().copied().zip(found).collect(), inspected: true })
}

/// Whether the server need not sync tickets and alarms.
pub(crate) fn has_async_tickets(connection: &Connection) -> bool {
    let (major, minor) = RECOVERS_CONSUMERS;
    connection.client.is_server_compatible(major, minor, 0)
}

pub(crate) fn unreadable(failure: Failure, stream: &str, connection: &Connection) -> BackendError {
    let suffix = connection.current_state().server_error_suffix();
    failure.cannot(format!("read the configuration of stream {stream}{suffix}"))
}

async fn ensure(
    connection: &Connection,
    config: &NatsConfig,
    expected: &stream::Config,
    share: Option<StoreShare>,
) -> Result<stream::Config, BackendError> {
    let name = &expected.name;
    match api::stream_info(connection, name).await {
        Ok(info) => return Ok(info.config),
        Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {}
        Err(failure) => return Err(unreadable(failure, name, connection)),
    }
    if config.provisioning == Provisioning::Check {
        let sentence =
            format!("there is no stream {name}: run `jetway setup` with a user who may create streams");
        return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
    }
    match bounded::create(connection, expected, share).await {
        Ok(info) => {
            tracing::info!(stream = %name, replicas = expected.num_replicas, "stream created");
            Ok(info.config)
        }
        // Another host has created it with other values. They are checked like those of any existing stream.
        Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {
            api::stream_info(connection, name)
                .await
                .map(|info| info.config)
                .map_err(|failure| unreadable(failure, name, connection))
        }
        Err(failure) => Err(not_created(failure, expected, connection, "create")),
    }
}

/// The error of a stream that cannot be created or changed.
pub(crate) fn not_created(
    failure: Failure,
    expected: &stream::Config,
    connection: &Connection,
    action: &str,
) -> BackendError {
    let (name, replicas) = (&expected.name, expected.num_replicas);
    match failure.code() {
        Some(ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS) => {
            let needed = format!("this needs a cluster of at least {replicas} servers");
            let error = failure.cannot(format!("{action} stream {name} with {replicas} replicas: {needed}"));
            BackendError::new(BackendErrorKind::Misconfigured, error.to_string())
        }
        _ => failure
            .cannot(format!("{action} stream {name}{}", connection.current_state().server_error_suffix())),
    }
}
