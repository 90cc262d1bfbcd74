//! Sends answers, to inboxes alone. A request that names another reply subject is dropped and counted.

use crate::names::ReplyPrefixes;
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::time::{Duration, Instant};

/// The log has one line about refused reply subjects in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Where the answer to a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplyTo {
    /// An inbox.
    Inbox(Subject),
    /// The client expects no answer.
    Nobody,
}

/// Decides where answers go, and sends them.
#[derive(Debug)]
pub(super) struct Replies {
    client: Client,
    prefixes: ReplyPrefixes,
    refused: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Replies {
    pub(super) fn new(client: Client, prefixes: ReplyPrefixes) -> Self {
        Self { client, prefixes, refused: AtomicU64::new(0), logged: Mutex::new(None) }
    }

    /// Where the answer to this request goes. `None` if the request names a subject that is no inbox: it is to be dropped.
    pub(super) fn of(&self, request: &Message) -> Option<ReplyTo> {
        match &request.reply {
            None => Some(ReplyTo::Nobody),
            Some(reply) if self.prefixes.allow(reply) => Some(ReplyTo::Inbox(reply.clone())),
            Some(reply) => {
                self.refuse(&request.subject, reply);
                None
            }
        }
    }

    /// Sends an answer.
    pub(super) async fn send(&self, to: &ReplyTo, headers: HeaderMap, payload: Bytes) {
        let ReplyTo::Inbox(inbox) = to else { return };
        let sent = match headers.is_empty() {
            true => self.client.publish(inbox.clone(), payload).await,
            false => self.client.publish_with_headers(inbox.clone(), headers, payload).await,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "cannot send an answer to {inbox}");
        }
    }

    /// The number of requests that were dropped.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self, subject: &str, reply: &str) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return;
        }
        *logged = Some(Instant::now());
        tracing::warn!(
            subject,
            messages = count,
            "dropped requests with reply subjects such as {reply:?}, which is no inbox: use an inbox, or add its prefix to \
             reply_prefixes"
        );
    }
}
