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

/// A stream that has lived for so long was sound: the pauses start from the shortest again.
const SOUND_AFTER: Duration = Duration::from_secs(30);

/// Why a subscription ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its actor is gone.
    ActorGone,
    /// The backend is set up so that subscribing anew cannot help.
    Hopeless(BackendError),
}

/// What a subscription is to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
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
    subject: Subject<'_>,
    mut open: impl AsyncFnMut() -> Result<BoxStream<'static, Result<T, BackendError>>, BackendError>,
    mut deliver: impl AsyncFnMut(T) -> Result<(), MailboxError>,
) -> Ended {
    let mut pauses = backoff::pauses();
    loop {
        let opened = Instant::now();
        let error = match open().await {
            Ok(mut stream) => loop {
                match stream.next().await {
                    Some(Ok(item)) => {
                        pauses = backoff::pauses();
                        if deliver(item).await.is_err() {
                            return Ended::ActorGone;
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            },
            Err(error) => Some(error),
        };
        if opened.elapsed() > SOUND_AFTER {
            pauses = backoff::pauses();
        }
        let pause = backoff::next(&mut pauses);
        match error {
            Some(error) if is_unprocessable(&error) => return Ended::Hopeless(error),
            error => report(subject, error.as_ref(), pause),
        }
        tokio::time::sleep(pause).await;
        subject.reopened.fetch_add(1, Ordering::Relaxed);
    }
}

fn report(Subject { what, workflow, .. }: Subject<'_>, error: Option<&BackendError>, pause: Duration) {
    match error {
        Some(error) => {
            tracing::warn!(workflow, %error, ?pause, "the stream of {what} failed: it is opened again")
        }
        None => tracing::warn!(workflow, ?pause, "the stream of {what} ended: it is opened again"),
    }
}

fn is_unprocessable(error: &BackendError) -> bool {
    use BackendErrorKind::{Closed, Misconfigured, Refused};
    matches!(error.kind(), Misconfigured | Refused | Closed)
}
