//! Tickets: one message for each pending item, handed to one worker at a time.

use crate::{
    backend::NatsBackend,
    dead_letters::{DeadLetters, letter_of},
    error::Failure,
    jsapi,
    losses::{self, Watch},
    names::Names,
    pull::{Held, Pull, Source},
    write::{Body, Write},
};
use async_nats::Message;
use async_trait::async_trait;
use futures::{StreamExt as _, future, stream, stream::BoxStream};
use jetway_engine::backend::{
    BackendError, BackendErrorKind, DeadLetter, Delivery, Lease as _, Ticket, TicketQueue,
};
use jetway_state::{
    Fingerprint, ItemId, RunKey, Timestamp, WorkflowName,
    codec::{self, EnvelopeError},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Semaphore;

/// The reason of a dead letter that holds a ticket's bytes.
const UNDECODABLE: &str = "undecodable-ticket";

#[async_trait]
impl TicketQueue for NatsBackend {
    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        let Some((first, _)) = tickets.first() else {
            return Ok(());
        };
        let (run, count) = (first.run(), tickets.len());
        let mut writes = Vec::with_capacity(count);
        for (ticket, fingerprint) in tickets {
            writes.push(write(&self.names, ticket, fingerprint)?);
        }
        let stored = self.committers.tickets.write_all(writes).await;
        stored.map_err(|error| error.of(format!("one of {count} tickets of run {run}")))
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
        let pull = self.pull(source, slots).await?;
        let taker = Taker { pull, names: self.names.clone(), dead: self.dead.clone() };
        Ok(stream::unfold(taker, |mut taker| async move { Some((taker.next().await?, taker)) }).boxed())
    }

    /// A server that was started again may have lost the tickets of its last moments.
    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        if !self.may_lose_tickets {
            return stream::pending().boxed();
        }
        let link = Arc::clone(&self.link);
        let hosts = self.names.hosts();
        let (runs, alive) = (self.streams.runs.clone(), self.streams.hosts.clone());
        let watch = Watch::new(Arc::clone(&link));
        let unseen = async move { losses::unseen(&link, &runs, &alive, &hosts).await };
        let restarts = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
        stream::once(unseen).filter_map(future::ready).chain(restarts).boxed()
    }

    /// A server that was killed may have forgotten that a ticket was settled, while the consumer remembers it: the ticket is
    /// there, and stands in the way of another one for its item.
    async fn drop_stale_tickets(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        let unable =
            |failure: Failure| failure.cannot(format!("look for dead tickets of workflow {workflow}"));
        let (stream, filter) = (&self.streams.tickets, self.names.tickets_of_workflow(workflow));
        let consumer = Names::work_consumer(workflow.as_str());
        // Asked first: what is settled while this looks is above it.
        let settled = match jsapi::consumer_info(&self.link, stream, &consumer).await {
            Ok(info) => info.ack_floor.stream_seq,
            Err(failure) if failure.is_absent() => return Ok(0),
            Err(failure) => return Err(unable(failure)),
        };
        let (mut dead, mut from) = (0, 1);
        while from <= settled {
            let oldest = jsapi::next_any(&self.link, stream, &filter, from).await.map_err(unable)?;
            let Some(found) = oldest.filter(|found| found.message.sequence <= settled) else { break };
            let sequence = found.message.sequence;
            if jsapi::delete_message(&self.link, stream, sequence).await.map_err(unable)? {
                dead += 1;
            }
            from = sequence + 1;
        }
        Ok(dead)
    }

    async fn items_with_tickets(&self, run: &RunKey) -> Result<BTreeSet<ItemId>, BackendError> {
        let filter = self.names.tickets_of_run(run);
        let found: Result<_, Failure> = jsapi::subjects(&self.link, &self.streams.tickets, &filter).await;
        let found = found.map_err(|failure| failure.cannot(format!("list the tickets of run {run}")))?;
        Ok(found.keys().filter_map(|subject| self.names.item_of_ticket(subject)).collect())
    }
}

fn write(names: &Names, ticket: Ticket, fingerprint: Fingerprint) -> Result<Write, BackendError> {
    let subject = names.ticket(&ticket)?.into();
    let payload = codec::seal(&ticket, fingerprint, "a ticket").map_err(|error| {
        let sentence =
            format!("the ticket of item {} of run {} cannot be written", ticket.item, ticket.run());
        BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
    })?;
    Ok(Write { subject, payload, body: Body::Once(Some(ticket.trace)) })
}

/// Turns messages into tickets.
struct Taker {
    pull: Pull,
    names: Names,
    dead: DeadLetters,
}

impl Taker {
    async fn next(&mut self) -> Option<Result<Delivery, BackendError>> {
        loop {
            let held = match self.pull.next().await? {
                Ok(held) => held,
                Err(error) => return Some(Err(error)),
            };
            match read(&self.names, &held.message) {
                Ok((ticket, fingerprint)) => {
                    let Held { origin, lease, slot, .. } = held;
                    let delivered = origin.delivered;
                    return Some(Ok(Delivery { ticket, fingerprint, delivered, lease, slot }));
                }
                Err(Unread::Newer(error)) => {
                    // A newer host may be on its way: the ticket is left to be delivered again after its lease.
                    tracing::warn!(subject = %held.message.subject, %error, "a ticket is left for a newer host");
                }
                Err(Unread::Never(letter)) => {
                    if let Err(error) = self.bury(&held, *letter).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    async fn bury(&self, held: &Held, letter: DeadLetter) -> Result<(), BackendError> {
        let id = format!("ticket-{}-{}", held.origin.sequence, held.origin.published);
        self.dead.keep(DeadLetter { id, ..letter }).await?;
        held.lease.ack().await
    }
}

/// The ticket that a message is.
pub(crate) fn read(names: &Names, message: &Message) -> Result<(Ticket, Fingerprint), Unread> {
    let tokens = names.ticket_tokens(&message.subject);
    let never = |reason: String| {
        let workflow = tokens.map_or("", |tokens| tokens.workflow);
        let letter = letter_of(message, workflow, String::new());
        Unread::Never(Box::new(DeadLetter { why: UNDECODABLE.to_owned(), reason, ..letter }))
    };
    match codec::open::<Ticket>(&message.payload, "a ticket") {
        // Whoever forges a ticket may only do so for the items that he may publish tickets of.
        Ok((ticket, fingerprint)) if tokens.is_some_and(|tokens| tokens.agree_with(&ticket)) => {
            Ok((ticket, fingerprint))
        }
        Ok((ticket, _)) => {
            Err(never(format!("the ticket is for item {} of run {}", ticket.item, ticket.run())))
        }
        Err(error @ EnvelopeError::Newer { .. }) => Err(Unread::Newer(error)),
        Err(error) => Err(never(error.to_string())),
    }
}

/// Why a ticket cannot be read.
pub(crate) enum Unread {
    /// By this build.
    Newer(EnvelopeError),
    /// By any.
    Never(Box<DeadLetter>),
}
