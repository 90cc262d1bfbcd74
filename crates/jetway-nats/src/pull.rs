//! Taking messages of a durable consumer, exactly as many as there are free slots.
//!
//! A message's lease runs from its delivery, so a message that waits in a buffer is a lease that runs out. Therefore a
//! slot is taken first, and then one message is asked for. Requests of one pull share an inbox, wait 30 seconds at the
//! server, and are renewed: an idle pull costs three messages in that time.
//!
//! A pull has no task: it is driven by whoever polls it, and dropping it ends it. What was on its way then is given back
//! by the [`janitor`].

pub(crate) mod janitor;
pub(crate) mod reply;
mod slots;
pub(crate) mod status;
mod unreadable;

use crate::{
    config::NatsConfig,
    jsapi,
    lease::AckLease,
    link::{Link, LinkState},
    provision::ensure_consumer,
};
use async_nats::{Message, Request, SubscribeError, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use janitor::Janitor;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use reply::Origin;
use slots::Slots;
use status::Status;
use std::{pin::Pin, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Duration, Instant, Sleep, sleep, sleep_until},
};

/// How long a request waits at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After so long without a word from the server the requests are taken for lost.
const SILENCE: Duration = Duration::from_secs(35);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which consumer to pull from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) filter: String,
    /// The workflow that its messages are of.
    pub(crate) workflow: String,
}

/// A message, its lease, and the slot that it takes up.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: Message,
    pub(crate) origin: Origin,
    pub(crate) lease: Arc<AckLease>,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// A pull.
pub(crate) struct Pull {
    link: Arc<Link>,
    state: watch::Receiver<LinkState>,
    config: NatsConfig,
    source: Source,
    janitor: Janitor,
    slots: Slots,
    lease: Duration,
    inbox: String,
    messages: Option<Subscriber>,
    heard: Instant,
    silence: Pin<Box<Sleep>>,
    /// The connection that the requests went over.
    connects: u64,
    failures: u32,
}

/// What to do after a message.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are messages, and a box for each is an allocation"
)]
enum Heard {
    Message(Held),
    Nothing,
    Again,
    /// Over another connection than before.
    Reconnected,
    Gone(String),
}

impl Pull {
    /// Makes the consumer exist and begins to pull.
    pub(crate) async fn start(
        link: Arc<Link>,
        config: NatsConfig,
        source: Source,
        janitor: Janitor,
        slots: Arc<Semaphore>,
    ) -> Result<Self, BackendError> {
        if link.is_gone() {
            let sentence = "the connection to the nats-server has ended for good: the host has to start anew";
            return Err(BackendError::new(BackendErrorKind::Closed, sentence));
        }
        let facts = ensure_consumer(&link, &config, &source.stream, &source.consumer, &source.filter).await?;
        janitor.look_now(&link, &source).await;
        let state = link.state.clone();
        Ok(Self {
            link,
            state,
            config,
            source,
            janitor,
            slots: Slots::new(slots),
            lease: facts.ack_wait,
            inbox: String::new(),
            messages: None,
            heard: Instant::now(),
            silence: Box::pin(sleep(SILENCE)),
            connects: 0,
            failures: 0,
        })
    }

    /// The next message; `None` when there will be no more slots, or no more connection. After an error it goes on by itself.
    pub(crate) async fn next(&mut self) -> Option<Result<Held, BackendError>> {
        loop {
            if self.messages.is_none()
                && let Err(error) = self.subscribe().await
            {
                tracing::debug!(%error, "a pull ends with its connection");
                return None;
            }
            if self.slots.due(Instant::now()) {
                self.ask().await;
            }
            match self.listen().await? {
                Heard::Message(held) => return Some(Ok(held)),
                Heard::Nothing => {}
                Heard::Again => self.restart(),
                Heard::Reconnected => {
                    self.restart();
                    self.janitor.look(&self.source);
                }
                Heard::Gone(reason) => {
                    tracing::debug!(consumer = self.source.consumer, reason, "the pull begins anew");
                    self.restart();
                    self.pause().await;
                    match self.renew_consumer().await {
                        Ok(()) => {}
                        // The server is not back yet.
                        Err(error) if error.is_retryable() => tracing::debug!(%error, "the pull has to wait"),
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }

    /// Waits until something happens. `None` when there will be no more slots, or no more connection.
    async fn listen(&mut self) -> Option<Heard> {
        let Some(messages) = self.messages.as_mut() else {
            return Some(Heard::Again);
        };
        // Under load the next message is there already, and neither timers nor waiting lists need to be touched.
        if let Some(message) = messages.next().now_or_never() {
            return Some(self.take(message).await);
        }
        tokio::select! {
            biased;
            message = messages.next() => Some(self.take(message).await),
            more = self.slots.more() => more.then_some(Heard::Nothing),
            changed = self.state.changed() => {
                changed.ok()?;
                let now = self.state.borrow_and_update().connects;
                // Requests that went over another connection may be void, and nobody says so.
                Some(if now == self.connects { Heard::Nothing } else { Heard::Reconnected })
            }
            () = self.silence.as_mut() => {
                let until = self.heard + SILENCE;
                if until > Instant::now() {
                    self.silence.as_mut().reset(until);
                    return Some(Heard::Nothing);
                }
                Some(Heard::Gone("the server is silent".to_owned()))
            }
        }
    }

    async fn take(&mut self, message: Option<Message>) -> Heard {
        let Some(message) = message else {
            return Heard::Gone("the subscription has ended".to_owned());
        };
        self.heard = Instant::now();
        match Status::of(&message) {
            None => {}
            Some(Status::Heartbeat) => return Heard::Nothing,
            Some(Status::Ended(left)) => {
                self.failures = 0;
                self.slots.ended(left);
                return Heard::Nothing;
            }
            Some(Status::Gone(reason) | Status::Void(reason)) => return Heard::Gone(reason),
        }
        let Some((origin, reply)) =
            message.reply.clone().and_then(|reply| Some((Origin::parse(&reply)?, reply)))
        else {
            tracing::warn!(subject = %message.subject, "a message came that no consumer delivered");
            return Heard::Nothing;
        };
        self.failures = 0;
        let lease = Arc::new(AckLease::new(Arc::clone(&self.link), reply, self.lease));
        match self.slots.one().await {
            Some(slot) => Heard::Message(Held { message, origin, lease, slot }),
            None => Heard::Nothing,
        }
    }

    async fn subscribe(&mut self) -> Result<(), SubscribeError> {
        self.inbox = self.link.client.new_inbox();
        self.connects = self.state.borrow_and_update().connects;
        self.messages = Some(self.link.client.subscribe(self.inbox.clone()).await?);
        self.heard = Instant::now();
        self.silence.as_mut().reset(self.heard + SILENCE);
        Ok(())
    }

    /// Asks for as many messages as there are free slots.
    async fn ask(&mut self) {
        let asked = serde_json::json!({
            "batch": self.slots.ask(),
            "expires": EXPIRES.as_nanos() as u64,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
        });
        let request = Request::new().inbox(self.inbox.clone()).payload(asked.to_string().into());
        let subject = jsapi::pull(&self.source.stream, &self.source.consumer);
        if let Err(error) = self.link.jetstream.send_request(subject, request).await {
            // The subscription ends as well, which is heard.
            tracing::debug!(%error, "a pull request cannot be sent");
        }
    }

    /// Forgets every request. Late answers to them go to another inbox than the answers to the next ones.
    fn restart(&mut self) {
        if let Some(messages) = self.messages.take() {
            self.janitor.take(messages);
        }
        self.slots.ended(None);
    }

    async fn renew_consumer(&mut self) -> Result<(), BackendError> {
        let Source { stream, consumer, filter, .. } = &self.source;
        let facts = ensure_consumer(&self.link, &self.config, stream, consumer, filter).await?;
        self.lease = facts.ack_wait;
        Ok(())
    }

    async fn pause(&mut self) {
        let longest = LONGEST_PAUSE.min(Duration::from_millis(50) * (1 << self.failures.min(7)));
        self.failures += 1;
        sleep_until(Instant::now() + longest.mul_f64(rand::random_range(0.5..=1.0))).await;
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        if let Some(messages) = self.messages.take() {
            self.janitor.take(messages);
        }
    }
}
