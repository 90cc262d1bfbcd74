//! Results of runs, and dead letters.

use crate::{
    backend::NatsBackend,
    jsapi,
    write::{Body, IS_THERE, Write},
};
use async_nats::{Subscriber, jetstream::message::StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind, DeadLetter, Results};
use jetway_state::{RunKey, Timestamp, run::DoneView};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a result that nobody told of is waited for before the next look, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often results of earlier runs are removed to make place for one, at most.
const REPLACED: usize = 3;

#[async_trait]
impl Results for NatsBackend {
    async fn publish_done(&self, run: &RunKey, result: Bytes) -> Result<(), BackendError> {
        let subject = self.names.done(run);
        for _ in 0..REPLACED {
            let body = Body::Once(None);
            let write = Write { subject: subject.clone().into(), payload: result.clone(), body };
            let stored = self.committers.done.write(write).await;
            if stored.map_err(|error| error.of(format!("the result of run {run}")))? != IS_THERE {
                return Ok(());
            }
            // Told by whoever ended the run before, or the result of an earlier run of this name.
            match self.latest(run, &subject).await? {
                Some(there) if DoneView::supersedes(&result, &there.payload) => {
                    let removed = jsapi::delete_message(&self.link, &self.streams.done, there.sequence).await;
                    removed.map_err(|failure| {
                        failure.cannot(format!("replace the result of an earlier run {run}"))
                    })?;
                }
                Some(_) => return Ok(()),
                None => {}
            }
        }
        let sentence = format!("the result of run {run} was replaced again and again");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    async fn done(
        &self,
        run: &RunKey,
        since: Timestamp,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let end = Instant::now() + wait;
        let subject = self.names.done(run);
        let mut links = self.link.state.clone();
        links.mark_unchanged();
        let mut seen = self.link.now().connects;
        // The server hands a result to those who listen before it stores it. So one that came before the subscription may
        // be stored after the look, and there is another look a little later, and again after longer and longer pauses.
        let mut news = if wait.is_zero() { None } else { Some(self.listen(run, &subject).await?) };
        let mut found = self.stored(run, &subject, since).await?;
        let mut pause = FIRST_PAUSE;
        let mut look = Instant::now() + pause;
        while found.is_none() {
            let Some(news) = news.as_mut() else { break };
            tokio::select! {
                message = news.next() => {
                    let told = message.ok_or_else(|| closed(run))?.payload;
                    found = DoneView::is_since(&told, since).then_some(told);
                }
                changed = links.changed() => {
                    changed.map_err(|_closed| closed(run))?;
                    let connects = links.borrow_and_update().connects;
                    if connects != seen {
                        // Whatever was published while there was no connection has not been heard.
                        seen = connects;
                        found = self.stored(run, &subject, since).await?;
                    }
                }
                () = sleep_until(look.min(end)) => {
                    found = self.stored(run, &subject, since).await?;
                    if look >= end {
                        break;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    look = Instant::now() + pause.mul_f64(rand::random_range(0.8..1.0));
                }
            }
        }
        Ok(found)
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.dead.keep(letter).await
    }
}

impl NatsBackend {
    async fn listen(&self, run: &RunKey, subject: &str) -> Result<Subscriber, BackendError> {
        self.link.client.subscribe(subject.to_owned()).await.map_err(|error| closed(run).caused_by(error))
    }

    async fn latest(&self, run: &RunKey, subject: &str) -> Result<Option<StreamMessage>, BackendError> {
        let found = jsapi::latest(&self.link, &self.streams.done, subject).await;
        found.map_err(|failure| failure.cannot(format!("read the result of run {run}")))
    }

    async fn stored(
        &self,
        run: &RunKey,
        subject: &str,
        since: Timestamp,
    ) -> Result<Option<Bytes>, BackendError> {
        let found = self.latest(run, subject).await?.map(|message| message.payload);
        Ok(found.filter(|result| DoneView::is_since(result, since)))
    }
}

fn closed(run: &RunKey) -> BackendError {
    let sentence = format!("cannot wait for the result of run {run}: the connection is closed");
    BackendError::new(BackendErrorKind::Unavailable, sentence)
}
