//! Delivers what a backend's stream brings into an actor's mailbox.

use crate::backoff;
use actix::MailboxError;
use futures::{StreamExt, stream::BoxStream};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Rounded;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// A stream that lived this long was healthy: the next delay is the shortest again.
const RESET_AFTER: Duration = Duration::from_secs(30);

/// Why a subscription ended.
#[derive(Debug)]
pub(crate) enum SubscriptionEnd {
    /// Its actor has stopped.
    ActorStopped,
    /// The backend reports an error that opening the stream again cannot fix, such as a missing permission.
    Unrecoverable(BackendError),
}

/// A subscription to the messages of one workflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription<'a> {
    /// What it delivers: "tickets", "starts" or "signals".
    pub(crate) kind: &'static str,
    pub(crate) workflow: &'a str,
    /// Counts how often the stream was opened again.
    pub(crate) reopened: &'a AtomicU64,
}

impl Subscription<'_> {
    /// Opens a stream and delivers its messages one by one; each waits until the actor's mailbox has room. A stream
    /// that ends or fails is opened again after a delay.
    ///
    /// The delays restart from the shortest with every message, so this is no retry of one call: the loop is here, and
    /// only the delays come from `backon`.
    pub(crate) async fn run<T>(
        self,
        mut open: impl AsyncFnMut() -> Result<BoxStream<'static, Result<T, BackendError>>, BackendError>,
        mut deliver: impl AsyncFnMut(T) -> Result<(), MailboxError>,
    ) -> SubscriptionEnd {
        let mut delays = backoff::delays();
        loop {
            let opened = Instant::now();
            let error = match open().await {
                Ok(mut stream) => loop {
                    match stream.next().await {
                        Some(Ok(message)) => {
                            jetway_state::hop!("Subscription::run");
                            delays = backoff::delays();
                            if deliver(message).await.is_err() {
                                return SubscriptionEnd::ActorStopped;
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
                error => self.log(error.as_ref(), delay),
            }
            tokio::time::sleep(delay).await;
            self.reopened.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn log(self, error: Option<&BackendError>, delay: Duration) {
        let Self { kind, workflow, .. } = self;
        match error {
            Some(error) => {
                tracing::warn!(workflow, %error, delay = %Rounded(delay), "stream of {kind} failed: it is opened again after the delay");
            }
            None => {
                tracing::warn!(
                    workflow,
                    delay = %Rounded(delay),
                    "stream of {kind} ended: it is opened again after the delay"
                );
            }
        }
    }
}

fn is_unrecoverable(error: &BackendError) -> bool {
    use BackendErrorKind::{Closed, Misconfigured, Refused};
    matches!(error.kind(), Misconfigured | Refused | Closed)
}
