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
use async_nats::{HeaderMap, Message, Request, StatusCode, jetstream::consumer::DeliverPolicy};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind, StaleRun};
use jetway_state::{RunKey, Timestamp, run::Status};
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
        let from = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
        let scan = Scan {
            before,
            looked_at: after,
            wanted: |status| !status.is_terminal() || status == Status::Cancelled,
            found: Vec::new(),
        };
        let scanned = self.scan(from, scan).await?;
        Ok((scanned.found, scanned.looked_at))
    }

    pub(super) async fn find_ended(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        let point = direct::point(since).map_err(|failure| failure.cannot("look for runs that ended"))?;
        let mut from = DeliverPolicy::ByStartTime { start_time: point };
        let mut scan = Scan {
            before: Timestamp(u64::MAX),
            looked_at: 0,
            wanted: Status::is_terminal,
            found: Vec::new(),
        };
        loop {
            let before = scan.looked_at;
            scan = self.scan(from, scan).await?;
            if scan.looked_at == before {
                return Ok(scan.found.into_iter().map(|found| found.run).collect());
            }
            from = DeliverPolicy::ByStartSequence { start_sequence: scan.looked_at + 1 };
        }
    }

    async fn scan(&self, from: DeliverPolicy, scan: Scan) -> Result<Scan, BackendError> {
        let unable = |failure: Failure| failure.cannot("look through the runs");
        let name = format!("sweep_{:016x}", rand::random::<u64>());
        let consumer = transient_consumer(name.clone(), self.names.snapshots(None), from);
        jsapi::create_consumer(&self.link, &self.streams.runs, &consumer).await.map_err(unable)?;
        let scanned = self.read_headers(&name, scan).await;
        // It would go by itself a little later.
        if let Err(failure) = jsapi::delete_consumer(&self.link, &self.streams.runs, &name).await {
            tracing::debug!(%failure, "the consumer of a sweep is left to expire");
        }
        scanned
    }

    async fn read_headers(&self, consumer: &str, mut scan: Scan) -> Result<Scan, BackendError> {
        let unanswered = |error: &dyn std::fmt::Display| {
            let sentence = format!("cannot look for stale runs: {error}");
            BackendError::new(BackendErrorKind::Unavailable, sentence)
        };
        let inbox = self.link.client.new_inbox();
        let mut messages =
            self.link.client.subscribe(inbox.clone()).await.map_err(|error| unanswered(&error))?;
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
                            return Ok(scan);
                        }
                    }
                    Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => {
                        return Ok(scan);
                    }
                    Some(_) => return Err(unanswered(&direct::status(&message))),
                }
            }
        }
        Ok(scan)
    }
}

struct Scan {
    before: Timestamp,
    looked_at: u64,
    /// Which runs are found; one whose header does not tell its status always is.
    wanted: fn(Status) -> bool,
    found: Vec<StaleRun>,
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
            && status.is_none_or(self.wanted)
            && let Some(run) = backend.names.run_of_snapshot(&message.subject)
        {
            let cancelled = status == Some(Status::Cancelled);
            self.found.push(StaleRun { run, revision: origin.sequence, cancelled });
        }
        true
    }
}

fn status(headers: &HeaderMap) -> Option<Status> {
    headers.get(STATUS)?.as_str().parse().ok()
}
