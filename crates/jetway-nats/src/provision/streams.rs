//! The expected configuration of each stream and bucket.

use super::replicas;
use crate::{
    config::NatsConfig,
    names::{Names, Stream},
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use std::time::Duration;

/// The shortest window of duplicates that the server takes.
pub(crate) const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// How many signals wait at most. Each takes some memory of the server, also a small one.
const MOST_SIGNALS: i64 = 100_000;

/// The expected configuration of a stream with so many replicas. With `async_tickets` the server need not sync tickets and alarms
/// to disk.
pub(crate) fn expected(
    names: &Names,
    config: &NatsConfig,
    stream: Stream,
    replicas: usize,
    async_tickets: bool,
) -> Config {
    let max_bytes = config.max_stream_bytes.map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX));
    let common = Config {
        name: names.stream(stream),
        subjects: names.stream_subjects(stream),
        storage: StorageType::File,
        num_replicas: replicas,
        max_bytes,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        ..Config::default()
    };
    match stream {
        Stream::Starts => starts(common),
        Stream::Tickets => tickets(common, async_tickets),
        Stream::Timers => timers(common, async_tickets),
        Stream::Signals => signals(common),
        Stream::Runs => replicas::recorded(runs(common)),
        Stream::Done => done(common, config.keep_results),
        Stream::Dead => dead(common, config.keep_dead_letters),
        Stream::Hosts => hosts(common, config.announce_every),
        Stream::Beats => beats(common),
        Stream::StoreState => replicas::recorded(store_state(common)),
        Stream::StoreItems => store_items(common),
    }
}

/// Clients publish here. So rollups, schedules and times to live are off: with each of them, a header of one client could
/// remove or forge the messages of others.
fn starts(common: Config) -> Config {
    Config {
        description: Some("Jetway: start messages".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        allow_atomic_publish: true,
        ..common
    }
}

/// One message per ticket: a second one is refused while the first one exists.
///
/// A ticket is a hint, the snapshot is the truth: the sweep replaces a lost ticket of a pending item. So the server need not
/// sync tickets, neither when they are stored nor when they are removed; that would cost as much as the step itself. With
/// several replicas, the copies protect the tickets, and the stream accepts batches instead.
fn tickets(common: Config, async_persist: bool) -> Config {
    let async_persist = async_persist && common.num_replicas == 1;
    Config {
        description: Some("Jetway: tickets of pending work items".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages_per_subject: 1,
        persist_mode: async_persist.then_some(PersistenceMode::Async),
        allow_atomic_publish: !async_persist,
        ..common
    }
}

/// One message per alarm, and one per run for the wake-ups that alarms publish. No consumer has the alarms.
///
/// The server accepts schedules only where a full stream drops its oldest messages. Nobody may lose an alarm that way, so this
/// stream has no limit of its own, whatever is configured: the account limits it. Schedules need rollups.
///
/// An alarm is a hint as well, so it is synced like a ticket.
fn timers(common: Config, async_persist: bool) -> Config {
    let async_persist = async_persist && common.num_replicas == 1;
    Config {
        description: Some("Jetway: alarms and wake-ups".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::Old,
        max_bytes: -1,
        max_messages_per_subject: 1,
        allow_message_schedules: true,
        allow_rollup: true,
        allow_direct: true,
        persist_mode: async_persist.then_some(PersistenceMode::Async),
        allow_atomic_publish: !async_persist,
        ..common
    }
}

/// Clients publish here, so what is off for starts is off. A full stream refuses signals and keeps those that it has.
///
/// For the server, an id of a message is unique in the whole stream: it drops the signal of a second run with the same id. So the
/// window of duplicates is as short as possible, and doubles are found by the rules of each run.
fn signals(common: Config) -> Config {
    Config {
        description: Some("Jetway: signals".to_owned()),
        max_messages: MOST_SIGNALS,
        duplicate_window: SHORTEST_WINDOW,
        allow_direct: true,
        ..starts(common)
    }
}

/// A key-value bucket as `nats kv` creates it, with atomic batches, and a time to live for finished runs.
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

/// One result per run: the first one stays.
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

/// The latest dead letters matter most, so a full stream drops the oldest ones.
fn dead(common: Config, keep: Duration) -> Config {
    Config {
        description: Some("Jetway: dead letters".to_owned()),
        discard: DiscardPolicy::Old,
        max_age: keep,
        allow_direct: true,
        ..common
    }
}

/// A bucket whose entries expire unless their hosts renew them.
fn hosts(common: Config, announce_every: Duration) -> Config {
    Config {
        description: Some("Jetway: live hosts".to_owned()),
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

/// How long the last heartbeat of a step is kept: as long as the next attempt at it may be away.
const KEEP_BEATS: Duration = Duration::from_secs(7 * 24 * 3600);

/// A bucket with one entry for each step that has a heartbeat. Each is a hint, so a full bucket drops its oldest ones.
fn beats(common: Config) -> Config {
    Config {
        description: Some("Jetway: last heartbeats of steps".to_owned()),
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 1,
        max_age: KEEP_BEATS,
        allow_direct: true,
        allow_rollup: true,
        deny_delete: true,
        ..common
    }
}

/// A key-value bucket for the stores, with a time to live for finished runs.
fn store_state(common: Config) -> Config {
    Config { description: Some("Jetway: values of stores".to_owned()), ..runs(common) }
}

/// The work items of the stores. No sweep replaces lost ones, so they are synced.
fn store_items(common: Config) -> Config {
    Config {
        description: Some("Jetway: work items of stores".to_owned()),
        allow_direct: true,
        ..tickets(common, false)
    }
}
