//! Tickets: one message for each pending item, leased to one worker at a time.

mod lease;
mod newer;

use super::{
    NatsBackend,
    ticket_loss::{RestartWatch, loss_before_start},
};
use crate::{
    committer::{Condition, Write},
    dead_letters::{DeadLetters, dead_letter_of},
    names::Names,
    pull::{LeasedMessage, Pull, Source},
    session::{Connection, Failure, api},
};
use async_nats::Message;
use async_trait::async_trait;
use futures::{StreamExt as _, future, stream, stream::BoxStream};
use jetway_engine::backend::{
    BackendError, BackendErrorKind, DeadLetter, Delivery, Lease as _, Ticket, TicketIndex, TicketQueue,
};
use jetway_state::{
    Fingerprint, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    codec::{self, EnvelopeError},
};
use lease::{ReturnTickets, TicketLease};
pub(super) use newer::NewerTickets;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The reason of a dead letter that holds a ticket's bytes.
const UNDECODABLE: &str = "undecodable-ticket";

#[async_trait]
impl TicketQueue for NatsBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        jetway_state::hop!("NatsBackend::publish");
        let Some((first, _)) = tickets.first() else {
            return Ok(());
        };
        let (run, count) = (first.run(), tickets.len());
        let mut writes = Vec::with_capacity(count);
        for (ticket, fingerprint) in tickets {
            writes.push(write_of(&self.names, ticket, fingerprint)?);
        }
        let stored = self.committers.tickets.write_all(writes).await;
        stored.map(drop).map_err(|error| error.error_of(format!("one of {count} tickets of run {run}")))
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let source = Source {
            stream: self.streams.tickets.clone(),
            consumer: Names::work_consumer(workflow.as_str()),
            filter: self.names.tickets_of_workflow(workflow),
            workflow: workflow.to_string(),
        };
        self.listen_for_cancels().await;
        let return_tickets =
            ReturnTickets { names: self.names.clone(), committer: Arc::clone(&self.committers.tickets) };
        let return_tickets = Arc::new(return_tickets);
        if !self.connection.is_closed() {
            // A ticket that has ended the connection of another host would end this one.
            self.pulls.header_scan.finish(&source).await;
        }
        let pull = Pull::start(self.pulls.clone(), source, return_tickets.clone(), slots).await?;
        let wakes = self.forward_wakes(workflow).await?;
        let dead_letters = self.dead_letters.clone();
        let (names, newer) = (self.names.clone(), NewerTickets::default());
        let reader = TicketReader { pull, names, return_tickets, dead_letters, newer };
        let tickets =
            stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) });
        // It ends with the tickets, and not when the wake-ups end as well.
        let tickets = tickets.map(Some).chain(stream::iter([None]));
        let both = stream::select(tickets, wakes.map(|error| Some(Err(error))));
        Ok(both.take_while(|next| future::ready(next.is_some())).filter_map(future::ready).boxed())
    }

    /// After a restart, the server may have lost the latest tickets and alarms. And somebody may remove their streams.
    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        let mut losses = self.ticket_losses.clone();
        losses.mark_unchanged();
        let with_stream = stream::unfold(losses, |mut losses| async move {
            losses.changed().await.ok()?;
            let since = *losses.borrow_and_update();
            Some((since, losses))
        });
        if !self.may_lose_tickets {
            return with_stream.boxed();
        }
        let connection = Arc::clone(&self.connection);
        let (runs_stream, hosts_stream) = (self.streams.runs.clone(), self.streams.hosts.clone());
        let hosts = self.names.hosts();
        let watch = RestartWatch::new(Arc::clone(&connection));
        let before_start =
            async move { loss_before_start(&connection, &runs_stream, &hosts_stream, &hosts).await };
        let restarts = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
        let by_server = stream::once(before_start).filter_map(future::ready).chain(restarts);
        stream::select(by_server, with_stream).boxed()
    }

    /// After a crash of the server, the stream may have a ticket that the consumer counts as acknowledged. It is never
    /// delivered, and prevents another ticket for its item. The same happens to wake-ups and signals, which prevent nothing.
    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        let failed =
            |failure: Failure| failure.cannot(format!("look for stale tickets of workflow {workflow}"));
        let (tickets, wakes) =
            (Names::work_consumer(workflow.as_str()), Names::wake_consumer(workflow.as_str()));
        let signals = Names::signal_consumer(workflow.as_str());
        let of_signals = (&self.streams.signals, signals, self.names.signals_of_workflow(workflow.as_str()));
        let of_tickets = (&self.streams.tickets, tickets, self.names.tickets_of_workflow(workflow));
        let of_wakes = (&self.streams.timers, wakes, self.names.wakes_of_workflow(workflow));
        let mut removed = 0;
        // Each is a request of an idle host, and only tickets are common: the two others take turns.
        let other = if rand::random() { of_wakes } else { of_signals };
        for (stream, consumer, filter) in [of_tickets, other] {
            removed += drop_stale(&self.connection, stream, &consumer, &filter).await.map_err(failed)?;
        }
        Ok(removed)
    }

    async fn ticket_index(&self, workflow: &WorkflowName) -> Result<Option<TicketIndex>, BackendError> {
        let filter = self.names.tickets_of_workflow(workflow);
        let found = api::subjects(&self.connection, &self.streams.tickets, &filter).await;
        let found =
            found.map_err(|failure| failure.cannot(format!("list the tickets of workflow {workflow}")))?;
        let mut index = TicketIndex::default();
        for tokens in found.keys().filter_map(|subject| self.names.ticket_tokens(subject)) {
            if let (Ok(run), Ok(item)) = (RunId::new(tokens.run_id), ItemId::new(tokens.item)) {
                index.add(run, item, tokens.activation.to_owned());
            }
        }
        Ok(Some(index))
    }

    async fn queued(&self, workflow: &WorkflowName) -> Result<Option<u64>, BackendError> {
        let consumer = Names::work_consumer(workflow.as_str());
        match api::consumer_info(&self.connection, &self.streams.tickets, &consumer).await {
            Ok(info) => Ok(Some(info.num_pending)),
            // A user of a client may not ask, and a workflow that nobody has served has no consumer.
            Err(failure) if failure.is_absent() || matches!(failure, Failure::NotPermitted(_)) => Ok(None),
            Err(failure) => Err(failure.cannot(format!("count the tickets of workflow {workflow}"))),
        }
    }

    async fn is_replaced(&self, ticket: &Ticket) -> Result<bool, BackendError> {
        let run = ticket.run();
        let filter = self.names.tickets_of_run(&run);
        let found = api::subjects(&self.connection, &self.streams.tickets, &filter).await;
        let found = found.map_err(|failure| failure.cannot(format!("list the tickets of run {run}")))?;
        Ok(found.keys().any(|subject| self.names.replaces(subject, ticket)))
    }

    async fn give_back_late(&self) {
        self.pulls.late.finish().await;
    }

    fn lease(&self) -> Duration {
        self.config.ack_wait
    }

    async fn items_with_tickets(
        &self,
        run: &RunKey,
        incarnation: Option<Incarnation>,
    ) -> Result<BTreeSet<ItemId>, BackendError> {
        let filter = self.names.tickets_of_run(run);
        let found = api::subjects(&self.connection, &self.streams.tickets, &filter).await;
        let found = found.map_err(|failure| failure.cannot(format!("list the tickets of run {run}")))?;
        Ok(found.keys().filter_map(|subject| self.names.item_of_ticket(subject, incarnation)).collect())
    }
}

/// Removes the messages that a consumer counts as acknowledged. Returns their number.
async fn drop_stale(
    connection: &Connection,
    stream: &str,
    consumer: &str,
    filter: &str,
) -> Result<u64, Failure> {
    // This is read first: messages that are acknowledged from now on have higher sequences.
    let acknowledged = match api::consumer_info(connection, stream, consumer).await {
        Ok(info) => info.ack_floor.stream_seq,
        Err(failure) if failure.is_absent() => return Ok(0),
        Err(failure) => return Err(failure),
    };
    let (mut removed, mut from) = (0, 1);
    while from <= acknowledged {
        let oldest = api::first_from(connection, stream, filter, from).await?;
        let Some(found) = oldest.filter(|found| found.message.sequence <= acknowledged) else { break };
        let sequence = found.message.sequence;
        removed += u64::from(api::delete_message(connection, stream, sequence).await?);
        from = sequence + 1;
    }
    Ok(removed)
}

fn write_of(names: &Names, ticket: Ticket, fingerprint: Fingerprint) -> Result<Write, BackendError> {
    let subject = names.ticket(&ticket)?.into();
    let payload = codec::seal(&ticket, fingerprint, "a ticket").map_err(|error| {
        let sentence = format!("cannot encode the ticket of item {} of run {}", ticket.item, ticket.run());
        BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
    })?;
    Ok(Write { subject, payload, condition: Condition::Unique(Some(ticket.trace)) })
}

/// Decodes the tickets of a pull.
struct TicketReader {
    pull: Pull,
    names: Names,
    return_tickets: Arc<ReturnTickets>,
    dead_letters: DeadLetters,
    newer: NewerTickets,
}

impl TicketReader {
    async fn next(&mut self) -> Option<Result<Delivery, BackendError>> {
        loop {
            let leased = match self.pull.next().await? {
                Ok(leased) => leased,
                Err(error) => return Some(Err(error)),
            };
            match decode(&self.names, &leased.message) {
                Ok((mut ticket, fingerprint)) => {
                    let LeasedMessage { delivery, lease, slot, .. } = leased;
                    let delivered = delivery.delivered;
                    // Its writer has another clock, and need not be a host.
                    ticket.at = Timestamp(delivery.published_millis());
                    let lease =
                        TicketLease::new(&ticket, fingerprint, delivered, lease, &self.return_tickets);
                    let lease = Arc::new(lease);
                    return Some(Ok(Delivery { ticket, fingerprint, delivered, lease, slot }));
                }
                Err(TicketError::NewerVersion(error)) => self.newer.give_back(&leased, &error).await,
                Err(TicketError::Undecodable(letter)) => {
                    if let Err(error) = self.dead_letter(&leased, *letter).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    async fn dead_letter(&self, leased: &LeasedMessage, letter: DeadLetter) -> Result<(), BackendError> {
        let id = format!("ticket-{}-{}", leased.delivery.sequence, leased.delivery.published);
        self.dead_letters.store(DeadLetter { id, ..letter }).await?;
        leased.lease.ack().await
    }
}

/// Decodes a ticket and compares it with its subject.
pub(crate) fn decode(names: &Names, message: &Message) -> Result<(Ticket, Fingerprint), TicketError> {
    jetway_state::hop!("decode");
    let tokens = names.ticket_tokens(&message.subject);
    let workflow = tokens.map_or("", |tokens| tokens.workflow);
    let is_of_subject = |ticket: &Ticket| tokens.filter(|tokens| tokens.match_ticket(ticket)).map(drop);
    let Opened { ticket, build, .. } = open(message, workflow, is_of_subject)?;
    Ok((ticket, build))
}

/// The ticket in a message.
pub(super) struct Opened<T> {
    pub(super) ticket: Ticket,
    pub(super) build: Fingerprint,
    /// What was read from the ticket and the subject of the message.
    pub(super) subject: T,
}

/// Opens the ticket in a message of a workflow. `check` compares it with the subject of the message: `None` if it does not belong
/// there. Permissions are for subjects, so a client can only forge tickets for subjects to which it may publish.
pub(super) fn open<T>(
    message: &Message,
    workflow: &str,
    check: impl FnOnce(&Ticket) -> Option<T>,
) -> Result<Opened<T>, TicketError> {
    let undecodable = |reason: String| {
        let letter = dead_letter_of(message, workflow, String::new());
        TicketError::Undecodable(Box::new(DeadLetter { why: UNDECODABLE.to_owned(), reason, ..letter }))
    };
    match codec::open::<Ticket>(&message.payload, "a ticket") {
        Ok((ticket, build)) => match check(&ticket) {
            Some(subject) => Ok(Opened { ticket, build, subject }),
            None => Err(undecodable(format!(
                "the ticket is for item {} of run {}, which is not the item of its subject",
                ticket.item,
                ticket.run()
            ))),
        },
        Err(error @ EnvelopeError::Newer { .. }) => Err(TicketError::NewerVersion(error)),
        Err(error) => Err(undecodable(error.to_string())),
    }
}

/// Why a ticket cannot be decoded.
pub(crate) enum TicketError {
    /// A newer version of Jetway wrote it.
    NewerVersion(EnvelopeError),
    /// No version can decode it.
    Undecodable(Box<DeadLetter>),
}
