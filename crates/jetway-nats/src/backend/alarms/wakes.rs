//! Wake-ups: the server publishes them when alarms ring, and a host publishes their tickets, or brings back signals.
//!
//! | the host dies, or | state | mended by |
//! |---|---|---|
//! | before the ticket is stored | the wake-up is leased | its lease ends, and another host forwards it |
//! | before the wake-up is acknowledged, or the acknowledgement is lost | both exist | it is forwarded again: the ticket exists, or is a second one, which changes no run |
//! | the server forgets one of them in a crash | none exists | the sweep |

use crate::{
    backend::{
        signals::LaterSignals,
        tickets::{NewerTickets, Opened, TicketError, open},
    },
    committer::{Committer, Condition, Write},
    dead_letters::DeadLetters,
    names::Names,
    pull::{LeasedMessage, Pull},
};
use async_nats::Message;
use futures::{Stream, StreamExt as _, future, stream};
use jetway_engine::backend::{BackendError, DeadLetter, Lease as _, Ticket};
use std::sync::Arc;

/// How many wake-ups of a workflow a host forwards at once.
pub(in crate::backend) const AT_ONCE: usize = 64;

/// What a host needs to forward wake-ups.
pub(in crate::backend) struct Forwarder {
    pub(in crate::backend) names: Names,
    /// Publishes tickets.
    pub(in crate::backend) committer: Arc<Committer>,
    pub(in crate::backend) dead_letters: DeadLetters,
    /// Brings back signals.
    pub(in crate::backend) later_signals: LaterSignals,
}

/// A wake-up, and what it is for.
struct Wake {
    woken: Woken,
    leased: LeasedMessage,
}

/// What a wake-up is for.
enum Woken {
    /// This ticket is to be published.
    Ticket(Write),
    /// The signal with this sequence is to be brought back.
    Signal(u64),
}

/// Carries out wake-ups.
struct Waker {
    committer: Arc<Committer>,
    later_signals: LaterSignals,
}

/// Decodes the wake-ups of a pull.
struct WakeReader {
    pull: Pull,
    names: Names,
    dead_letters: DeadLetters,
    newer: NewerTickets,
}

/// Forwards the wake-ups of a pull while it is polled. It yields what keeps it from receiving them.
pub(in crate::backend) fn forward(
    pull: Pull,
    forwarder: Forwarder,
) -> impl Stream<Item = BackendError> + Send + 'static {
    let Forwarder { names, committer, dead_letters, later_signals } = forwarder;
    let waker = Arc::new(Waker { committer, later_signals });
    let reader = WakeReader { pull, names, dead_letters, newer: NewerTickets::default() };
    let wakes = stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) });
    let forward = move |wake: Result<Wake, BackendError>| {
        let waker = Arc::clone(&waker);
        async move {
            match wake {
                Ok(wake) => {
                    waker.forward(wake).await;
                    None
                }
                Err(error) => Some(error),
            }
        }
    };
    wakes.map(forward).buffer_unordered(AT_ONCE).filter_map(future::ready)
}

impl Waker {
    async fn forward(&self, wake: Wake) {
        let Wake { woken, leased } = wake;
        let LeasedMessage { message, lease, slot, .. } = leased;
        let subject = &message.subject;
        let settled = match self.wake(woken).await {
            Ok(()) => lease.ack().await,
            Err(error) => {
                tracing::warn!(%subject, %error, "an alarm rings later: what it is for cannot be published now");
                lease.nak_later(lease.duration()).await
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%subject, %error, "a wake-up is delivered again when its lease ends");
        }
        // It was occupied until now.
        drop(slot);
    }

    async fn wake(&self, woken: Woken) -> Result<(), BackendError> {
        match woken {
            Woken::Ticket(ticket) => {
                let stored = self.committer.write(ticket).await;
                stored.map(drop).map_err(|error| error.error_of("the ticket of an alarm"))
            }
            Woken::Signal(sequence) => self.later_signals.bring_back(sequence).await,
        }
    }
}

impl WakeReader {
    async fn next(&mut self) -> Option<Result<Wake, BackendError>> {
        loop {
            let leased = match self.pull.next().await? {
                Ok(leased) => leased,
                Err(error) => return Some(Err(error)),
            };
            if let Some((_workflow, sequence)) = self.names.signal_wake_tokens(&leased.message.subject) {
                return Some(Ok(Wake { woken: Woken::Signal(sequence), leased }));
            }
            match ticket_of(&self.names, &leased.message) {
                Ok(ticket) => return Some(Ok(Wake { woken: Woken::Ticket(ticket), leased })),
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
        let id = format!("wake-{}-{}", leased.delivery.sequence, leased.delivery.published);
        self.dead_letters.store(DeadLetter { id, ..letter }).await?;
        leased.lease.ack().await
    }
}

/// The ticket of a wake-up.
fn ticket_of(names: &Names, message: &Message) -> Result<Write, TicketError> {
    let tokens = names.wake_tokens(&message.subject).map(|(run, _)| run);
    let is_of_subject = |ticket: &Ticket| tokens.is_some_and(|tokens| tokens.match_ticket(ticket));
    write_of(names, message, tokens.map_or("", |tokens| tokens.workflow), is_of_subject)
}

/// The ticket in a message of the stream of timers, to be published as it is. `is_of_subject` compares it with the subject of the
/// message.
pub(super) fn write_of(
    names: &Names,
    message: &Message,
    workflow: &str,
    is_of_subject: impl FnOnce(&Ticket) -> bool,
) -> Result<Write, TicketError> {
    let subject_of = |ticket: &Ticket| names.ticket(ticket).ok().filter(|_| is_of_subject(ticket));
    let Opened { ticket, subject, .. } = open(message, workflow, subject_of)?;
    let condition = Condition::Unique(Some(ticket.trace));
    Ok(Write { subject: subject.into(), payload: message.payload.clone(), condition })
}
