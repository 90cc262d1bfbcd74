//! Making streams and buckets exist, and refusing those that would break a promise.

mod consumers;
mod drift;
mod streams;

pub(crate) use consumers::{ensure_consumer, transient_consumer};
pub(crate) use streams::wanted;

use crate::{
    config::{NatsConfig, Provisioning},
    error::Failure,
    jsapi,
    link::Link,
    names::{Names, Stream},
};
use async_nats::jetstream::{ErrorCode, stream};
use futures::future::try_join_all;
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// How the streams of a namespace are set up.
pub(crate) struct Provisioned {
    streams: Vec<(Stream, stream::Config)>,
    /// Else it is what they should be, since this user may not look.
    seen: bool,
}

impl Provisioned {
    /// On how many servers snapshots, or what stores keep, are stored; `None` where this user may not look.
    pub(crate) fn replicas(&self) -> Option<usize> {
        let snapshots = self.config(Stream::Runs).or_else(|| self.config(Stream::StoreState));
        snapshots.filter(|_| self.seen).map(|config| config.num_replicas)
    }

    pub(crate) fn takes_batches(&self, stream: Stream) -> bool {
        self.config(stream).is_some_and(|config| config.allow_atomic_publish)
    }

    /// Whether a server that crashes may lose tickets that it has acknowledged.
    pub(crate) fn may_lose_tickets(&self) -> bool {
        let tickets = self.config(Stream::Tickets);
        tickets.is_some_and(|config| config.persist_mode == Some(stream::PersistenceMode::Async))
    }

    fn config(&self, stream: Stream) -> Option<&stream::Config> {
        self.streams.iter().find(|(name, _)| *name == stream).map(|(_, config)| config)
    }
}

/// The oldest server whose consumers find their way when their stream has lost its youngest messages.
const FINDS_ITS_WAY: (i64, i64) = (2, 14);

/// Makes streams and buckets of the namespace exist. Any number of hosts may do it at once.
///
/// # Errors
/// `Misconfigured` names the stream, the field, what was found, what is wanted and the fix.
pub(crate) async fn provision(
    link: &Link,
    names: &Names,
    config: &NatsConfig,
    streams: &[Stream],
) -> Result<Provisioned, BackendError> {
    let (major, minor) = FINDS_ITS_WAY;
    let lazy_tickets = link.client.is_server_compatible(major, minor, 0);
    let wanted: Vec<_> = streams.iter().map(|stream| wanted(names, config, *stream, lazy_tickets)).collect();
    if config.provisioning == Provisioning::Trust {
        return Ok(Provisioned { streams: streams.iter().copied().zip(wanted).collect(), seen: false });
    }
    let found = try_join_all(wanted.iter().map(|wanted| ensure(link, config, wanted))).await?;
    for (wanted, found) in wanted.iter().zip(&found) {
        drift::check(found, wanted)?;
    }
    Ok(Provisioned { streams: streams.iter().copied().zip(found).collect(), seen: true })
}

async fn ensure(
    link: &Link,
    config: &NatsConfig,
    wanted: &stream::Config,
) -> Result<stream::Config, BackendError> {
    let name = &wanted.name;
    match jsapi::stream_info(link, name).await {
        Ok(info) => return Ok(info.config),
        Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {}
        Err(failure) => return Err(failure.cannot(format!("ask for stream {name}{}", link.now().refused()))),
    }
    if config.provisioning == Provisioning::Check {
        let sentence =
            format!("there is no stream {name}: it is to be created by a user that may create streams");
        return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
    }
    match jsapi::create_stream(link, wanted).await {
        Ok(info) => {
            tracing::info!(stream = %name, replicas = wanted.num_replicas, "stream created");
            Ok(info.config)
        }
        // Another host was faster, with other values: what is there is judged as usual.
        Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {
            jsapi::stream_info(link, name)
                .await
                .map(|info| info.config)
                .map_err(|failure| failure.cannot(format!("ask for stream {name}")))
        }
        Err(failure) => Err(not_created(failure, wanted, link)),
    }
}

fn not_created(failure: Failure, wanted: &stream::Config, link: &Link) -> BackendError {
    let (name, replicas) = (&wanted.name, wanted.num_replicas);
    let what = match failure.code() {
        Some(ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS) => {
            format!("create stream {name} with {replicas} replicas: that takes a cluster of as many servers")
        }
        _ => format!("create stream {name}{}", link.now().refused()),
    };
    failure.cannot(what)
}
