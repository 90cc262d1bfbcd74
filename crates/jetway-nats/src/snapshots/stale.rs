//! Finding runs that have not been written for a while.
//!
//! The bucket's stream is ordered by the time of writing, so what is old stands before what is young. A sweep reads on
//! from where the last one stopped and stops at the first snapshot that is young: each snapshot is looked at once, and a
//! sweep that finds nothing costs one request. Where there is something, headers alone are read, through a consumer
//! that lives as long as the sweep.

use super::is_removed;
use crate::{
    backend::NatsBackend, direct, error::Failure, jsapi, names::STATUS, provision::transient_consumer,
    pull::reply::Origin,
};
use async_nats::{HeaderMap, Message, Request, StatusCode};
use futures::StreamExt as _;
use jetway_core::{
    Timestamp,
    backend::{BackendError, BackendErrorKind, StaleRun},
    run::Status,
};
use std::time::Duration;
use tokio::time::timeout;

/// How many headers are asked for at once.
const AT_ONCE: usize = 500;
/// How many snapshots one call looks at, at most; the rest is for the next one.
const LOOKED_AT: usize = 20_000;
/// How long the next answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl NatsBackend {
    pub(super) async fn find_stale(
        &self,
        after: u64,
        before: Timestamp,
    ) -> Result<(Vec<StaleRun>, u64), BackendError> {
        let filter = self.names.snapshots(None);
        let unable = |failure: Failure| failure.cannot("look for stale runs");
        let first = direct::next(&self.runs, filter.clone(), after + 1).await.map_err(unable)?;
        let point = direct::point(before).map_err(unable)?;
        if first.is_none_or(|message| message.time >= point) {
            return Ok((Vec::new(), after));
        }
        let consumer = transient_consumer(format!("sweep_{:016x}", rand::random::<u64>()), filter, after + 1);
        let name = consumer.name.clone().unwrap_or_default();
        jsapi::create_consumer(&self.link, &self.streams.runs, &consumer).await.map_err(unable)?;
        let found = self.read_headers(&name, after, before).await;
        // It would go by itself a little later.
        if let Err(failure) = jsapi::delete_consumer(&self.link, &self.streams.runs, &name).await {
            tracing::debug!(%failure, "the consumer of a sweep is left to expire");
        }
        found
    }

    async fn read_headers(
        &self,
        consumer: &str,
        after: u64,
        before: Timestamp,
    ) -> Result<(Vec<StaleRun>, u64), BackendError> {
        let unanswered = |error: &dyn std::fmt::Display| {
            let sentence = format!("cannot look for stale runs: {error}");
            BackendError::new(BackendErrorKind::Unavailable, sentence)
        };
        let inbox = self.link.client.new_inbox();
        let mut messages =
            self.link.client.subscribe(inbox.clone()).await.map_err(|error| unanswered(&error))?;
        let mut scan = Scan { before, looked_at: after, stale: Vec::new() };
        let mut count = 0;
        while count < LOOKED_AT {
            let asked = serde_json::json!({ "batch": AT_ONCE, "no_wait": true });
            let request = Request::new().inbox(inbox.clone()).payload(asked.to_string().into());
            let subject = jsapi::pull(&self.streams.runs, consumer);
            self.link.jetstream.send_request(subject, request).await.map_err(|error| unanswered(&error))?;
            for _ in 0..AT_ONCE {
                let next = timeout(ANSWER_WITHIN, messages.next()).await.ok().flatten();
                let message = next.ok_or_else(|| unanswered(&"the server did not answer in time"))?;
                match message.status {
                    None => {
                        count += 1;
                        if !scan.look_at(self, &message) {
                            return Ok((scan.stale, scan.looked_at));
                        }
                    }
                    Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => {
                        return Ok((scan.stale, scan.looked_at));
                    }
                    Some(_) => return Err(unanswered(&direct::status(&message))),
                }
            }
        }
        Ok((scan.stale, scan.looked_at))
    }
}

struct Scan {
    before: Timestamp,
    looked_at: u64,
    stale: Vec<StaleRun>,
}

impl Scan {
    /// Looks at one snapshot; false where it is young, as all after it are.
    fn look_at(&mut self, backend: &NatsBackend, message: &Message) -> bool {
        let Some(origin) = message.reply.as_ref().and_then(|reply| Origin::parse(reply)) else {
            return true;
        };
        if origin.published_millis() >= self.before.0 {
            return false;
        }
        self.looked_at = origin.sequence;
        let none = HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        if !is_removed(headers)
            && let status = status(headers)
            && status.is_none_or(|status| !status.is_terminal() || status == Status::Cancelled)
            && let Some(run) = backend.names.run_of_snapshot(&message.subject)
        {
            let cancelled = status == Some(Status::Cancelled);
            self.stale.push(StaleRun { run, revision: origin.sequence, cancelled });
        }
        true
    }
}

fn status(headers: &HeaderMap) -> Option<Status> {
    headers.get(STATUS)?.as_str().parse().ok()
}
