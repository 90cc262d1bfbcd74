//! How each stream and bucket is to be set up.

use crate::{
    config::NatsConfig,
    names::{Names, Stream},
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use std::time::Duration;

/// How a stream is to be set up. `lazy_tickets` where the server may lose its youngest tickets in a crash and finds its
/// way afterwards.
pub(crate) fn wanted(names: &Names, config: &NatsConfig, stream: Stream, lazy_tickets: bool) -> Config {
    let max_bytes = config.max_stream_bytes.map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX));
    let common = Config {
        name: names.stream(stream),
        subjects: vec![names.stream_subjects(stream)],
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_bytes,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        ..Config::default()
    };
    match stream {
        Stream::Starts => starts(common),
        Stream::Tickets => tickets(common, lazy_tickets),
        Stream::Runs => runs(common),
        Stream::Done => done(common, config.keep_results),
        Stream::Dead => dead(common, config.keep_dead_letters),
        Stream::Hosts => hosts(common, config.announce_every),
        Stream::StoreState => store_state(common),
        Stream::StoreItems => store_items(common),
    }
}

/// Strangers publish here. So there are no rollups, schedules or times to live: with each of them a header could remove
/// or forge what others have published.
fn starts(common: Config) -> Config {
    Config {
        description: Some("Jetway: start messages".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        allow_atomic_publish: true,
        ..common
    }
}

/// One message for each ticket: a second one is refused as long as the first one lives.
///
/// A ticket is a hint, the snapshot is the truth: a lost one is found by its run's pending items. So tickets need not be
/// synced, neither when they come nor when they go, which would cost as much as the step itself. Copies on other servers
/// keep them as well; these take batches instead.
fn tickets(common: Config, lazy: bool) -> Config {
    let lazy = lazy && common.num_replicas == 1;
    Config {
        description: Some("Jetway: tickets of pending work items".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages_per_subject: 1,
        persist_mode: lazy.then_some(PersistenceMode::Async),
        allow_atomic_publish: !lazy,
        ..common
    }
}

/// A key-value bucket as `nats kv` makes it, with atomic batches and a time to live for finished runs.
fn runs(common: Config) -> Config {
    Config {
        description: Some("Jetway: snapshots of runs".to_owned()),
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        allow_direct: true,
        allow_rollup: true,
        deny_delete: true,
        allow_message_ttl: true,
        allow_atomic_publish: true,
        ..common
    }
}

/// One result for each run: the first one stays.
fn done(common: Config, keep: Duration) -> Config {
    Config {
        description: Some("Jetway: results of runs".to_owned()),
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages_per_subject: 1,
        max_age: keep,
        allow_direct: true,
        allow_atomic_publish: true,
        ..common
    }
}

/// The newest dead letters matter most, so a full stream drops the oldest ones.
fn dead(common: Config, keep: Duration) -> Config {
    Config {
        description: Some("Jetway: what could not be run or decoded".to_owned()),
        discard: DiscardPolicy::Old,
        max_age: keep,
        allow_direct: true,
        ..common
    }
}

/// A bucket whose entries expire unless their host renews them.
fn hosts(common: Config, announce_every: Duration) -> Config {
    Config {
        description: Some("Jetway: hosts that are alive".to_owned()),
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        max_age: announce_every * 3,
        duplicate_window: (announce_every * 3).min(Duration::from_secs(120)),
        allow_direct: true,
        allow_rollup: true,
        deny_delete: true,
        ..common
    }
}

/// A key-value bucket: what the stores for runs without hosts keep, with a time to live for what has ended.
fn store_state(common: Config) -> Config {
    Config { description: Some("Jetway: what stores keep of runs and workers".to_owned()), ..runs(common) }
}

/// The work items of runs without hosts. Nobody looks for lost ones, so that they are synced as anything else.
fn store_items(common: Config) -> Config {
    Config {
        description: Some("Jetway: work items of stores".to_owned()),
        allow_direct: true,
        ..tickets(common, false)
    }
}
