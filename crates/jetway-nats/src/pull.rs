//! Receiving messages of durable consumers: the toolbox of hosts and stores.
//!
//! | module | what it does |
//! |---|---|
//! | this one | a host's stream of messages: as many at once as there are free slots |
//! | [`fetch`] | one message for a worker over stores, within a time |
//! | [`request`], [`status`], [`delivery`] | the pull protocol: requests, status messages, delivered messages |
//! | [`lease`] | acknowledging a message, and extending its lease |
//! | [`give_back`] | how a message is given back that nobody has worked on |
//! | [`late`] | messages that arrive after their receiver has stopped waiting are given back |
//! | [`header_scan`] | messages whose headers end the connection become dead letters |
//!
//! A message's lease starts with its delivery, so a message that waits in a buffer uses up its lease. Therefore a host
//! first takes a slot and then requests one message for it. Requests of one pull share an inbox and wait four minutes at the
//! server, which sends a sign of life each 30 seconds: an idle pull costs ten messages in that time.
//!
//! A pull has no task: it runs while it is polled, and dropping it ends it.

mod delivery;
mod fetch;
mod give_back;
mod header_scan;
mod late;
mod lease;
mod outage;
mod request;
mod slots;
mod status;

pub(crate) use {
    delivery::DeliveryInfo,
    fetch::{Fetched, fetch_one},
    give_back::{GiveBack, Nak},
    header_scan::HeaderScan,
    late::{Late, LateDeliveries, Until},
    lease::MessageLease,
    request::PullRequest,
    status::Status,
};

use crate::{
    config::NatsConfig,
    provision::ensure_consumer,
    session::{Backoff, Connection, ConnectionState},
};
use async_nats::{Message, SubscribeError, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Rounded;
use outage::Outage;
use slots::Slots;
use std::{pin::Pin, sync::Arc};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Duration, Instant, Sleep, sleep},
};

/// How long a request waits at the server.
const EXPIRES: Duration = Duration::from_secs(240);
/// The interval of the server's heartbeats while a request waits.
const HEARTBEAT: Duration = Duration::from_secs(40);
/// After this time without any message from the server, requests count as lost.
const SILENCE: Duration = Duration::from_secs(50);
/// The delays between attempts to pull from a consumer that is gone. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(25);
const LONGEST_DELAY: Duration = Duration::from_millis(2500);

/// The consumer to pull from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) filter: String,
    /// The workflow of its messages.
    pub(crate) workflow: String,
}

/// A message, its lease, and the slot that it occupies.
#[derive(Debug)]
pub(crate) struct LeasedMessage {
    pub(crate) message: Message,
    pub(crate) delivery: DeliveryInfo,
    pub(crate) lease: Arc<MessageLease>,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// What the pulls of one connection share.
#[derive(Debug, Clone)]
pub(crate) struct PullContext {
    pub(crate) connection: Arc<Connection>,
    pub(crate) config: NatsConfig,
    pub(crate) late: LateDeliveries,
    pub(crate) header_scan: HeaderScan,
    /// Told when the stream or the consumer seems to be missing.
    pub(crate) missing: Arc<Notify>,
}

/// A host's stream of messages of one consumer.
pub(crate) struct Pull {
    context: PullContext,
    state: watch::Receiver<ConnectionState>,
    source: Source,
    give_back: Arc<dyn GiveBack>,
    slots: Slots,
    lease_duration: Duration,
    inbox: String,
    messages: Option<Subscriber>,
    last_message: Instant,
    silence: Pin<Box<Sleep>>,
    /// The connection that the requests went over.
    connects: u64,
    /// How often it has begun anew.
    restarts: u64,
    backoff: Backoff,
    outage: Outage,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are messages, and a box for each is an allocation"
)]
enum PullEvent {
    Message(LeasedMessage),
    Nothing,
    /// There is no subscription.
    Unsubscribed,
    /// There is another connection than before.
    Reconnected,
    /// The consumer or the requests are gone.
    Lost(String),
}

impl Pull {
    /// Makes sure that the consumer exists. The first request is sent when the pull is polled. `give_back` is for messages that
    /// arrive when the pull has ended.
    ///
    /// # Errors
    /// `Closed` if the connection has ended, and those of [`ensure_consumer`].
    pub(crate) async fn start(
        context: PullContext,
        source: Source,
        give_back: Arc<dyn GiveBack>,
        slots: Arc<Semaphore>,
    ) -> Result<Self, BackendError> {
        let PullContext { connection, config, .. } = &context;
        if connection.is_closed() {
            let sentence = "the connection to the nats-server has ended: restart the host";
            return Err(BackendError::new(BackendErrorKind::Closed, sentence));
        }
        let Source { stream, consumer, filter, .. } = &source;
        let lease_duration = ensure_consumer(connection, config, stream, consumer, filter).await?;
        let state = connection.state.clone();
        Ok(Self {
            context,
            state,
            source,
            give_back,
            slots: Slots::new(slots),
            lease_duration,
            inbox: String::new(),
            messages: None,
            last_message: Instant::now(),
            silence: Box::pin(sleep(SILENCE)),
            connects: 0,
            restarts: 0,
            backoff: Backoff::new(FIRST_DELAY, LONGEST_DELAY),
            outage: Outage::default(),
        })
    }

    /// How often the pull has begun anew: its consumer and its stream may be others since then.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The next message. `None` if the semaphore of slots or the connection is closed. After an error the pull goes on.
    pub(crate) async fn next(&mut self) -> Option<Result<LeasedMessage, BackendError>> {
        loop {
            if self.messages.is_none()
                && let Err(error) = self.subscribe().await
            {
                tracing::debug!(%error, "a pull ends with its connection");
                return None;
            }
            if self.slots.should_request(Instant::now()) {
                self.request().await;
            }
            match self.next_event().await? {
                PullEvent::Message(message) => {
                    jetway_state::hop!("Pull::next");
                    return Some(Ok(message));
                }
                PullEvent::Nothing => {}
                PullEvent::Unsubscribed => self.reset(),
                PullEvent::Reconnected => {
                    self.reset();
                    self.context.header_scan.schedule(&self.source);
                }
                PullEvent::Lost(reason) => {
                    if let Err(error) = self.restart(&reason).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Waits for the next event. `None` if the semaphore of slots or the connection is closed.
    async fn next_event(&mut self) -> Option<PullEvent> {
        let Some(messages) = self.messages.as_mut() else {
            return Some(PullEvent::Unsubscribed);
        };
        // Under load the next message is there already, and neither timers nor wait queues need to be touched.
        if let Some(message) = messages.next().now_or_never() {
            return Some(self.handle(message).await);
        }
        tokio::select! {
            biased;
            message = messages.next() => Some(self.handle(message).await),
            more = self.slots.wait_for_more() => more.then_some(PullEvent::Nothing),
            changed = self.state.changed() => {
                changed.ok()?;
                let connects = self.state.borrow_and_update().connects;
                // Requests that went over another connection may be lost, without a status message.
                Some(if connects == self.connects { PullEvent::Nothing } else { PullEvent::Reconnected })
            }
            () = self.silence.as_mut() => {
                let until = self.last_message + SILENCE;
                if until > Instant::now() {
                    self.silence.as_mut().reset(until);
                    return Some(PullEvent::Nothing);
                }
                Some(PullEvent::Lost("the server sends nothing".to_owned()))
            }
        }
    }

    async fn handle(&mut self, message: Option<Message>) -> PullEvent {
        let Some(message) = message else {
            return PullEvent::Lost("the subscription has ended".to_owned());
        };
        self.last_message = Instant::now();
        match Status::of(&message) {
            None => {}
            Some(Status::Heartbeat) => {
                self.recovered();
                return PullEvent::Nothing;
            }
            Some(Status::RequestEnded(pending)) => {
                self.recovered();
                self.slots.request_ended(pending);
                return PullEvent::Nothing;
            }
            Some(Status::ConsumerGone(reason) | Status::RequestsLost(reason)) => {
                return PullEvent::Lost(reason);
            }
        }
        let Source { stream, consumer, .. } = &self.source;
        let Some((delivery, reply)) = message
            .reply
            .clone()
            .and_then(|reply| Some((DeliveryInfo::parse_of(&reply, stream, consumer)?, reply)))
        else {
            tracing::warn!(subject = %message.subject, "received a message that no consumer delivered");
            return PullEvent::Nothing;
        };
        self.context.connection.server_clock.delivered(delivery.published);
        self.recovered();
        let lease = MessageLease::new(Arc::clone(&self.context.connection), reply, self.lease_duration);
        match self.slots.take_one().await {
            Some(slot) => {
                PullEvent::Message(LeasedMessage { message, delivery, lease: Arc::new(lease), slot })
            }
            None => PullEvent::Nothing,
        }
    }

    async fn subscribe(&mut self) -> Result<(), SubscribeError> {
        let client = &self.context.connection.client;
        self.inbox = client.new_inbox();
        self.connects = self.state.borrow_and_update().connects;
        self.messages = Some(client.subscribe(self.inbox.clone()).await?);
        self.last_message = Instant::now();
        self.silence.as_mut().reset(self.last_message + SILENCE);
        Ok(())
    }

    /// Requests as many messages as there are free slots.
    async fn request(&mut self) {
        let request = PullRequest::new(self.slots.request()).waiting(EXPIRES).with_heartbeat(HEARTBEAT);
        let Source { stream, consumer, .. } = &self.source;
        let sent = request.send(&self.context.connection, stream, consumer, self.inbox.clone()).await;
        if let Err(error) = sent {
            // The subscription has ended as well, which is the next event.
            tracing::debug!(%error, "cannot send a pull request");
        }
    }

    /// Drops the subscription and all requests. Late replies go to the old inbox and are given back.
    fn reset(&mut self) {
        self.restarts += 1;
        self.give_back_late();
        self.slots.request_ended(None);
    }

    /// The consumer answers.
    fn recovered(&mut self) {
        self.backoff.reset();
        self.outage = Outage::default();
    }

    /// Pulls anew, after the consumer or the requests are gone.
    async fn restart(&mut self, reason: &str) -> Result<(), BackendError> {
        let consumer = &self.source.consumer;
        tracing::debug!(consumer, reason, "restarting a pull");
        self.context.missing.notify_one();
        self.reset();
        self.backoff.wait().await;
        let renewed = self.renew_consumer().await;
        let reason = renewed.as_ref().err().map_or_else(|| reason.to_owned(), ToString::to_string);
        if let Some(waited) = self.outage.overdue() {
            let Source { stream, consumer, .. } = &self.source;
            tracing::error!(
                stream,
                consumer,
                reason,
                delay = %Rounded(waited),
                "nothing is delivered: the consumer or its stream may be missing"
            );
        }
        match renewed {
            // The server is not available yet, or what is missing is not made again yet.
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "a pull has to wait");
                Ok(())
            }
            renewed => renewed,
        }
    }

    fn give_back_late(&mut self) {
        if let Some(subscriber) = self.messages.take() {
            let give_back = Arc::clone(&self.give_back);
            self.context.late.take(Late { subscriber, until: Until::Unsubscribed, give_back });
        }
    }

    async fn renew_consumer(&mut self) -> Result<(), BackendError> {
        let Source { stream, consumer, filter, .. } = &self.source;
        let PullContext { connection, config, .. } = &self.context;
        self.lease_duration = ensure_consumer(connection, config, stream, consumer, filter).await?;
        Ok(())
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.give_back_late();
    }
}
