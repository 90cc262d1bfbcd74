//! Work items on a work-queue stream: one message for each, taken one by one.

use super::{
    bucket::{Pauses, values::sealed},
    leases::Leases,
    leftovers::Leftovers,
};
use crate::{
    committer::Committer,
    config::NatsConfig,
    dead_letters::DeadLetters,
    direct, jsapi,
    link::Link,
    names::StoreNames,
    provision::ensure_consumer,
    pull::{reply::Origin, status::Status},
    write::{Body, Write},
};
use async_nats::{Message, Request, Subscriber, jetstream::message::StreamMessage};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// How much later than promised the server may say that there is nothing.
const GRACE: Duration = Duration::from_secs(5);
const WHAT: &str = "a work item";

/// The work items of one application.
pub(super) struct Items {
    link: Arc<Link>,
    config: NatsConfig,
    names: StoreNames,
    stream: String,
    committer: Committer,
    pub(super) dead: DeadLetters,
    pub(super) leases: Arc<Leases>,
    leftovers: Leftovers,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A message that was taken, and where it comes from.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) message: Message,
    pub(super) origin: Origin,
}

impl Items {
    /// Makes the consumer exist, and starts the tasks.
    pub(super) async fn open(
        link: Arc<Link>,
        config: NatsConfig,
        names: StoreNames,
        stream: String,
        committer: Committer,
        dead: DeadLetters,
    ) -> Result<Self, BackendError> {
        let (consumer, filter) = (names.consumer(), names.items());
        let facts = ensure_consumer(&link, &config, &stream, &consumer, &filter).await?;
        let give_up_after = config.writes.give_up_after;
        let leases = Arc::new(Leases::new(Arc::clone(&link), facts.ack_wait, give_up_after));
        let alive = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&leases).keep_alive()));
        let (leftovers, listening) = Leftovers::start(Arc::clone(&link));
        Ok(Self {
            link,
            config,
            names,
            stream,
            committer,
            dead,
            leases,
            leftovers,
            _tasks: [alive, listening],
        })
    }

    /// Adds an item; one that is there already is left as it is.
    pub(super) async fn add<WI: Serialize>(
        &self,
        run_id: &str,
        item_id: &str,
        item: &WI,
    ) -> Result<(), BackendError> {
        let subject = self.names.item(run_id, item_id)?.into();
        let write = Write { subject, payload: sealed(item, WHAT)?, body: Body::Once(None) };
        let stored = self.committer.write(write).await;
        stored.map(drop).map_err(|error| error.of(format!("work item {item_id} of run {run_id}")))
    }

    /// Takes an item, and waits for one for a while. May be dropped at any time: what was on its way is given back.
    pub(super) async fn take(&self, wait: Duration) -> Result<Option<Taken>, BackendError> {
        let mut pauses = Pauses::until(self.config.writes.give_up_after);
        let end = Instant::now() + wait;
        loop {
            let reason = match self.ask(end.saturating_duration_since(Instant::now())).await? {
                Answer::Taken(taken) => return Ok(Some(taken)),
                Answer::Nothing => return Ok(None),
                Answer::Again(reason) => reason,
            };
            let again = pauses.pause().await;
            match self.renew_consumer().await {
                Ok(()) if again => {}
                Err(error) if again && error.is_retryable() => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let sentence = format!("cannot take work items: {reason}");
                    return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
                }
            }
        }
    }

    async fn ask(&self, wait: Duration) -> Result<Answer, BackendError> {
        let unanswered = |error: &dyn fmt::Display| {
            let sentence = format!("cannot ask for work items: {error}");
            BackendError::new(BackendErrorKind::Unavailable, sentence)
        };
        let inbox = self.link.client.new_inbox();
        let subscribed = self.link.client.subscribe(inbox.clone()).await;
        let subscriber = subscribed.map_err(|error| unanswered(&error))?;
        let end = Instant::now() + wait + GRACE;
        let mut asking = Asking { subscriber: Some(subscriber), leftovers: &self.leftovers, end };
        let mut state = self.link.state.clone();
        let connects = state.borrow_and_update().connects;
        let asked = match wait.is_zero() {
            true => serde_json::json!({ "batch": 1, "no_wait": true }),
            false => serde_json::json!({ "batch": 1, "expires": wait.as_nanos() as u64 }),
        };
        let request = Request::new().inbox(inbox).payload(asked.to_string().into());
        let subject = jsapi::pull(&self.stream, &self.names.consumer());
        self.link.jetstream.send_request(subject, request).await.map_err(|error| unanswered(&error))?;
        let again = |reason: &str| Ok(Answer::Again(reason.to_owned()));
        loop {
            tokio::select! {
                biased;
                heard = timeout_at(end, asking.next()) => return match heard {
                    Err(_late) => again("the server does not answer"),
                    Ok(None) => again("the subscription has ended"),
                    Ok(Some(message)) => Ok(asking.heard(message)),
                },
                changed = state.changed() => {
                    changed.map_err(|_closed| unanswered(&"the connection is closed"))?;
                    // What was asked over another connection may be void, and nobody says so.
                    if state.borrow_and_update().connects != connects {
                        return again("the connection was lost");
                    }
                }
            }
        }
    }

    async fn renew_consumer(&self) -> Result<(), BackendError> {
        let (consumer, filter) = (self.names.consumer(), self.names.items());
        ensure_consumer(&self.link, &self.config, &self.stream, &consumer, &filter).await.map(drop)
    }

    /// The items of a run, those that are leased included.
    pub(super) async fn of_run(&self, run_id: &str) -> Result<Vec<StreamMessage>, BackendError> {
        const AT_ONCE: usize = 256;
        let filter = self.names.items_of_run(run_id)?;
        let (mut items, mut cursor) = (Vec::new(), 0);
        loop {
            let page = direct::page(&self.link, &self.stream, &filter, cursor + 1, AT_ONCE).await;
            let page = page.map_err(|failure| failure.cannot(format!("list the items of run {run_id}")))?;
            let Some(last) = page.messages.last() else { return Ok(items) };
            cursor = last.sequence;
            items.extend(page.messages);
            if page.pending == 0 {
                return Ok(items);
            }
        }
    }

    /// Removes the items of a run.
    pub(super) async fn purge(&self, run_id: &str) -> Result<u64, BackendError> {
        let removed = jsapi::remove_each(&self.link, &self.stream, &self.names.items_of_run(run_id)?).await;
        removed.map_err(|failure| failure.cannot(format!("remove the items of run {run_id}")))
    }

    pub(super) fn names(&self) -> &StoreNames {
        &self.names
    }
}

/// What came of asking for an item.
enum Answer {
    Taken(Taken),
    Nothing,
    Again(String),
}

/// A request that is under way. Where it is dropped, what the server sends all the same is given back.
struct Asking<'a> {
    subscriber: Option<Subscriber>,
    leftovers: &'a Leftovers,
    /// When the request has surely ended.
    end: Instant,
}

impl Asking<'_> {
    async fn next(&mut self) -> Option<Message> {
        self.subscriber.as_mut()?.next().await
    }

    fn heard(&mut self, message: Message) -> Answer {
        let answer = match Status::of(&message) {
            None => match message.reply.as_deref().and_then(Origin::parse) {
                Some(origin) => Answer::Taken(Taken { message, origin }),
                None => {
                    Answer::Again(format!("a message came on {} that no consumer delivered", message.subject))
                }
            },
            Some(Status::Ended(_)) => Answer::Nothing,
            Some(Status::Heartbeat) => Answer::Again("a heartbeat that was not asked for".to_owned()),
            Some(Status::Gone(reason) | Status::Void(reason)) => Answer::Again(reason),
        };
        if !matches!(answer, Answer::Again(_)) {
            // One message was asked for, and this was it.
            drop(self.subscriber.take());
        }
        answer
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(subscriber) = self.subscriber.take() {
            self.leftovers.take(subscriber, self.end);
        }
    }
}
