//! The stream of alarms with more replicas: it is made anew if it is not synced, and its alarms are copied.
//!
//! | lost | mended by |
//! |---|---|
//! | an alarm that a host arms after the copy was made | the host notices that the stream is another one, and its sweep arms all alarms again |
//! | all alarms, if this is interrupted after the stream was removed | the same; without a host at that time, a sweep finds what is overdue |

use super::Namespace;
use crate::{
    backend::schedule,
    committer::{Committer, Condition, Write},
    headers::{insert_trace, trace_of},
    names::{SCHEDULE, SCHEDULE_TARGET, Stream},
    provision::{self, streams::expected},
    session::{Failure, api, direct},
};
use async_nats::{
    HeaderMap,
    jetstream::{ErrorCode, message::StreamMessage, stream::PersistenceMode},
};
use jetway_engine::backend::BackendError;
use jetway_state::Timestamp;
use std::sync::Arc;

impl Namespace {
    /// Makes the stream of alarms anew if it cannot have the replicas. Returns whether it did.
    pub(super) async fn move_alarms(&self) -> Result<bool, BackendError> {
        let name = self.names.stream(Stream::Timers);
        let is_async =
            self.found.get(&name).is_some_and(|found| found.persist_mode == Some(PersistenceMode::Async));
        if !is_async || self.replicas == 1 {
            return Ok(false);
        }
        let failed = |failure: Failure| failure.cannot(format!("copy the alarms of stream {name}"));
        self.check_cluster().await?;
        let consumers = self.durable_consumers(&name).await?;
        let connection = &self.connection;
        let alarms = direct::all(connection, &name, &self.names.all_timers()).await.map_err(failed)?;
        let wakes = direct::all(connection, &name, &self.names.all_wakes()).await.map_err(failed)?;
        let now = self.connection.server_time();
        let copies = alarms.into_iter().filter_map(copy_of_alarm);
        let copies: Vec<_> =
            copies.chain(wakes.into_iter().filter_map(|wake| self.ring_now(wake, now))).collect();
        api::delete_stream(connection, &name).await.map_err(failed)?;
        self.create_timers().await?;
        self.recreate_consumers(&name, consumers).await;
        let committer = Committer::start(Arc::clone(connection), name, self.config.writes.clone()).await?;
        let stored = committer.write_all(copies).await;
        stored.map_err(|error| error.error_of("one of the alarms that were copied"))?;
        Ok(true)
    }

    async fn create_timers(&self) -> Result<(), BackendError> {
        let async_tickets = provision::has_async_tickets(&self.connection);
        let config = expected(&self.names, &self.config, Stream::Timers, self.replicas, async_tickets);
        match api::create_stream(&self.connection, &config).await {
            Ok(_info) => Ok(()),
            // A host needs it too, and says in its metadata that it had disappeared.
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {
                self.update(&config, "complete").await
            }
            Err(failure) => Err(provision::not_created(failure, &config, &self.connection, "create")),
        }
    }

    /// The alarm that rings at once in the place of a wake-up that nobody has forwarded.
    fn ring_now(&self, wake: StreamMessage, now: Timestamp) -> Option<Write> {
        // With its own time: a run may have several.
        let (run, due) = self.names.wake_tokens(&wake.subject)?;
        let subject = self.names.timer_of(run, due).into();
        let mut headers = schedule(now, &wake.subject);
        insert_trace(&mut headers, &trace_of(Some(&wake.headers)));
        Some(Write { subject, payload: wake.payload, condition: Condition::Always(headers) })
    }
}

/// The same alarm, without the headers that the server has added. What is no alarm is left behind.
fn copy_of_alarm(alarm: StreamMessage) -> Option<Write> {
    let mut headers = HeaderMap::new();
    for name in [SCHEDULE, SCHEDULE_TARGET] {
        headers.insert(name.clone(), alarm.headers.get(name)?.clone());
    }
    insert_trace(&mut headers, &trace_of(Some(&alarm.headers)));
    let condition = Condition::Always(headers);
    Some(Write { subject: alarm.subject, payload: alarm.payload, condition })
}
