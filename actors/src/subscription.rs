//! Carries what a backend delivers into an actor's mailbox.

use crate::backoff;
use actix::MailboxError;
use futures::{StreamExt, stream::BoxStream};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// A stream that has lived for so long was sound: the delays start from the shortest again.
const RESET_AFTER: Duration = Duration::from_secs(30);

/// Why a subscription ended.
#[derive(Debug)]
pub(crate) enum SubscriptionEnd {
    /// Its actor is gone.
    ActorGone,
    /// The backend is set up so that subscribing anew cannot help.
    Unrecoverable(BackendError),
}

/// What a subscription is to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription<'a> {
    /// "tickets" or "starts".
    pub(crate) what: &'static str,
    /// Of which workflow.
    pub(crate) workflow: &'a str,
    /// Counts how often the stream had to be opened again.
    pub(crate) reopened: &'a AtomicU64,
}

/// Opens a stream and delivers what comes from it, one after the other, each when the actor's mailbox had room for it.
/// A stream that ends or errs is opened again after a pause.
pub(crate) async fn feed<T>(
    subscription: Subscription<'_>,
    mut open: impl AsyncFnMut() -> Result<BoxStream<'static, Result<T, BackendError>>, BackendError>,
    mut deliver: impl AsyncFnMut(T) -> Result<(), MailboxError>,
) -> SubscriptionEnd {
    let mut delays = backoff::delays();
    loop {
        let opened = Instant::now();
        let error = match open().await {
            Ok(mut stream) => loop {
                match stream.next().await {
                    Some(Ok(item)) => {
                        delays = backoff::delays();
                        if deliver(item).await.is_err() {
                            return SubscriptionEnd::ActorGone;
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            },
            Err(error) => Some(error),
        };
        if opened.elapsed() > RESET_AFTER {
            delays = backoff::delays();
        }
        let delay = backoff::next_delay(&mut delays);
        match error {
            Some(error) if is_unrecoverable(&error) => return SubscriptionEnd::Unrecoverable(error),
            error => report(subscription, error.as_ref(), delay),
        }
        tokio::time::sleep(delay).await;
        subscription.reopened.fetch_add(1, Ordering::Relaxed);
    }
}

fn report(
    Subscription { what, workflow, .. }: Subscription<'_>,
    error: Option<&BackendError>,
    delay: Duration,
) {
    match error {
        Some(error) => {
            tracing::warn!(workflow, %error, ?delay, "the stream of {what} failed: it is opened again")
        }
        None => tracing::warn!(workflow, ?delay, "the stream of {what} ended: it is opened again"),
    }
}

fn is_unrecoverable(error: &BackendError) -> bool {
    use BackendErrorKind::{Closed, Misconfigured, Refused};
    matches!(error.kind(), Misconfigured | Refused | Closed)
}
