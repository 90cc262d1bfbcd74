//! Alarms that should have rung: a server that works correctly has none.

use super::{scheduled, wakes};
use crate::{
    backend::{NatsBackend, tickets::TicketError},
    committer::Write,
    names::minute_of,
    session::{Failure, api},
};
use async_nats::{Message, jetstream::message::StreamMessage};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use jetway_engine::backend::{BackendError, DeadLetter, Ticket};
use jetway_state::{Timestamp, WorkflowName};
use std::time::Duration;

/// The server may be about to publish what is due since a shorter time.
const GRACE: Duration = Duration::from_secs(5);
/// Alarms of so many minutes are listed minute by minute. For more, all alarms of the workflow are listed.
const MOST_MINUTES: u64 = 120;
/// How many alarms are read and published at once.
const AT_ONCE: usize = 16;

impl NatsBackend {
    /// Publishes the tickets of the alarms of a workflow that were due in this time and exist. Returns their number.
    pub(super) async fn publish_overdue(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<u64, BackendError> {
        let until = until.min(self.connection.server_time().before(GRACE));
        if since >= until {
            return Ok(0);
        }
        let listed = self.timers_between(workflow, since, until).await;
        let subjects = listed
            .map_err(|failure| failure.cannot(format!("look for overdue alarms of workflow {workflow}")))?;
        let rung = stream::iter(subjects).map(|subject| self.ring(workflow, subject, until));
        let count = |count, has_rung| future::ready(Ok(count + u64::from(has_rung)));
        rung.buffer_unordered(AT_ONCE).try_fold(0, count).await
    }

    async fn timers_between(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<String>, Failure> {
        let minutes = minute_of(since)..=minute_of(until);
        let is_short = minutes.end() - minutes.start() < MOST_MINUTES;
        let filters: Vec<_> = match is_short {
            true => minutes.map(|minute| self.names.timers(workflow, Some(minute))).collect(),
            false => vec![self.names.timers(workflow, None)],
        };
        let mut overdue = Vec::new();
        for filter in filters {
            let found = api::subjects(&self.connection, &self.streams.timers, &filter).await?;
            overdue.extend(found.into_keys().filter(|subject| {
                let due = self.names.timer_tokens(subject).map(|(_, due)| due);
                due.is_some_and(|due| since <= due && due < until)
            }));
        }
        Ok(overdue)
    }

    /// Publishes the ticket of an alarm, and removes the alarm. Returns whether there was one.
    async fn ring(
        &self,
        workflow: &WorkflowName,
        subject: String,
        until: Timestamp,
    ) -> Result<bool, BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("ring the overdue alarm {subject}"));
        let stream = &self.streams.timers;
        let found = api::latest(&self.connection, stream, &subject).await.map_err(failed)?;
        // It may have rung meanwhile.
        let Some(alarm) = found.filter(|found| scheduled(&found.headers).is_some_and(|at| at < until)) else {
            return Ok(false);
        };
        let has_rung = match self.ticket_of_alarm(workflow, alarm) {
            Ok(ticket) => {
                let stored = self.committers.tickets.write(ticket).await;
                stored
                    .map_err(|error| error.error_of(format!("the ticket of the overdue alarm {subject}")))?;
                true
            }
            // A newer host rings it.
            Err(TicketError::NewerVersion(error)) => {
                tracing::debug!(subject, %error, "an overdue alarm stays");
                return Ok(false);
            }
            Err(TicketError::Undecodable(letter)) => {
                self.dead_letters.store(*letter).await?;
                false
            }
        };
        api::purge(&self.connection, stream, subject.clone()).await.map_err(failed)?;
        Ok(has_rung)
    }

    fn ticket_of_alarm(&self, workflow: &WorkflowName, alarm: StreamMessage) -> Result<Write, TicketError> {
        let id = format!("timer-{}-{}", alarm.sequence, alarm.time.unix_timestamp_nanos());
        let message = Message {
            subject: alarm.subject,
            reply: None,
            length: alarm.payload.len(),
            payload: alarm.payload,
            headers: Some(alarm.headers),
            status: None,
            description: None,
        };
        let tokens = self.names.timer_tokens(&message.subject);
        let is_of_subject = |ticket: &Ticket| tokens.is_some_and(|(run, _)| run.match_ticket(ticket));
        let write = wakes::write_of(&self.names, &message, workflow.as_str(), is_of_subject);
        write.map_err(|error| match error {
            TicketError::Undecodable(letter) => {
                TicketError::Undecodable(Box::new(DeadLetter { id, ..*letter }))
            }
            newer @ TicketError::NewerVersion(_) => newer,
        })
    }
}
