//! Alarms: tickets that the server publishes at a time, as message schedules.
//!
//! An alarm is a message of the stream of timers. At its time the server moves it to the subject of wake-ups of its run, in the
//! same stream. Each host forwards the [wake-ups](wakes) of the workflows that it serves: it publishes their tickets, and brings back
//! signals that were put off.

mod overdue;
pub(super) mod wakes;

use super::NatsBackend;
use crate::{
    committer::{Condition, Write},
    headers::insert_trace,
    names::{Names, SCHEDULE, SCHEDULE_TARGET, SCHEDULED_AT, WakeTokens},
    pull::{Nak, Pull, Source},
    session::api,
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use futures::Stream;
use jetway_engine::backend::{Alarm, Alarms, BackendError, BackendErrorKind};
use jetway_state::{Incarnation, RunKey, Timestamp, WorkflowName, codec};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The latest time for which the server keeps an alarm: in the year 2262. It counts nanoseconds since 1970 in 64 bits, and takes
/// a later time for one in the past.
pub(super) const LATEST: Timestamp = Timestamp(i64::MAX.unsigned_abs() / 1_000_000);

#[async_trait]
impl Alarms for NatsBackend {
    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        let (run, due) = (alarm.ticket.run(), alarm.due);
        let write = write_of(&self.names, &alarm)?;
        let stored = self.committers.timers.write(write).await;
        stored.map(drop).map_err(|error| error.error_of(format!("the alarm of run {run} for {due}")))
    }

    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError> {
        let subject = match due {
            Some(due) => self.names.timer(run, incarnation, due),
            None => self.names.timers_of_run(run, incarnation),
        };
        // No consumer has this subject, so none forgets what it has delivered.
        match api::purge(&self.connection, &self.streams.timers, subject).await {
            Ok(_removed) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(failure) => Err(failure.cannot(match due {
                Some(due) => format!("disarm the alarm of run {run} for {due}"),
                None => format!("disarm the alarms of run {run}"),
            })),
        }
    }

    async fn ring_overdue(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<u64, BackendError> {
        let rung = self.publish_overdue(workflow, since, until).await?;
        Ok(rung + self.bring_back_overdue(workflow, until).await?)
    }
}

impl NatsBackend {
    /// Forwards the wake-ups of a workflow while it is polled.
    pub(super) async fn forward_wakes(
        &self,
        workflow: &WorkflowName,
    ) -> Result<impl Stream<Item = BackendError> + Send + use<>, BackendError> {
        let source = Source {
            stream: self.streams.timers.clone(),
            consumer: Names::wake_consumer(workflow.as_str()),
            filter: self.names.wakes_of_workflow(workflow),
            workflow: workflow.to_string(),
        };
        if !self.connection.is_closed() {
            // A wake-up that has ended the connection of another host would end this one.
            self.pulls.header_scan.finish(&source).await;
        }
        let slots = Arc::new(Semaphore::new(wakes::AT_ONCE));
        let pull = Pull::start(self.pulls.clone(), source, Arc::new(Nak), slots).await?;
        let forwarder = wakes::Forwarder {
            names: self.names.clone(),
            committer: Arc::clone(&self.committers.tickets),
            later_signals: self.later_signals(),
            dead_letters: self.dead_letters.clone(),
        };
        Ok(wakes::forward(pull, forwarder))
    }
}

/// The message of an alarm. One that exists is replaced.
fn write_of(names: &Names, alarm: &Alarm) -> Result<Write, BackendError> {
    let Alarm { due, ticket, build } = alarm;
    let run = ticket.run();
    if *due > LATEST {
        let sentence = format!("no alarm of run {run} for {due}: the latest time for one is {LATEST}");
        return Err(BackendError::new(BackendErrorKind::Invalid, sentence));
    }
    // A name that no ticket may have is refused now, and not when the alarm rings.
    names.ticket(ticket)?;
    let payload = codec::seal(ticket, *build, "a ticket").map_err(|error| {
        let sentence = format!("cannot encode the alarm of item {} of run {run}", ticket.item);
        BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
    })?;
    let incarnation = ticket.incarnation.short();
    let tokens = WakeTokens {
        workflow: run.workflow.as_str(),
        run_id: run.run_id.as_str(),
        incarnation: &incarnation,
    };
    let mut headers = schedule(*due, &names.wake(tokens, *due));
    insert_trace(&mut headers, &ticket.trace);
    let subject = names.timer_of(tokens, *due).into();
    Ok(Write { subject, payload, condition: Condition::Always(headers) })
}

/// The headers that let the server publish a message to a subject at a time.
pub(crate) fn schedule(at: Timestamp, to: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SCHEDULE, format!("{SCHEDULED_AT}{at}"));
    headers.insert(SCHEDULE_TARGET, to);
    headers
}

/// When the server publishes a scheduled message.
fn scheduled(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::parse(headers.get(SCHEDULE)?.as_str().strip_prefix(SCHEDULED_AT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_schedule_is_read_as_it_was_written() {
        for due in [Timestamp(0), Timestamp(1_700_000_000_007), LATEST] {
            assert_eq!(scheduled(&schedule(due, "a")), Some(due));
        }
        assert_eq!(LATEST.to_string(), "2262-04-11T23:47:16.854Z");
        assert_eq!(scheduled(&HeaderMap::new()), None);
    }
}
