//! Scans over the snapshots for the sweep.
//!
//! The stream is in the order of writing, so old snapshots come before young ones. A sweep continues where the last one
//! stopped, and stops at the first snapshot that is young. So each snapshot is read once, and a sweep that finds nothing
//! costs one request. A scan reads headers only, through an ephemeral consumer.

use super::is_removed;
use crate::{
    backend::NatsBackend,
    names::{Names, STATUS},
    provision::ephemeral_consumer,
    pull::{DeliveryInfo, PullRequest},
    session::{Failure, api, direct},
};
use async_nats::{HeaderMap, Message, StatusCode, jetstream::consumer::DeliverPolicy};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind, StaleRun};
use jetway_state::{RunKey, Timestamp, run::Status};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// How many headers one request reads.
const READ_AT_ONCE: usize = 500;
/// How many snapshots one call reads. The next call reads the rest.
const MAX_READS: usize = 20_000;
/// How long the server may take to send the next message.
const NEXT_MESSAGE_WITHIN: Duration = Duration::from_secs(5);

/// The state of a scan.
struct Scan {
    /// The scan stops at the first snapshot that was written at this time or later.
    before: Timestamp,
    /// The sequence of the last snapshot that was read.
    position: u64,
    /// Selects runs by their status. A run without a status header is always selected.
    selects: fn(Status) -> bool,
    found: Vec<StaleRun>,
}

impl NatsBackend {
    pub(super) async fn find_stale(
        &self,
        after: u64,
        before: Timestamp,
    ) -> Result<(Vec<StaleRun>, u64), BackendError> {
        let failed = |failure: Failure| failure.cannot("look for stale runs");
        let first = self.runs.first_from(self.names.snapshots(None), after + 1).await.map_err(failed)?;
        let time = direct::server_time(before).map_err(failed)?;
        if first.is_none_or(|message| message.time >= time) {
            return Ok((Vec::new(), after));
        }
        let from = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
        let scan = Scan {
            before,
            position: after,
            selects: |status| !status.is_terminal() || status == Status::Cancelled,
            found: Vec::new(),
        };
        let scan = self.scan(from, scan).await?;
        Ok((scan.found, scan.position))
    }

    pub(super) async fn find_ended(&self, since: Timestamp) -> Result<Vec<RunKey>, BackendError> {
        let time = direct::server_time(since);
        let time = time.map_err(|failure| failure.cannot("look for runs that ended"))?;
        let mut from = DeliverPolicy::ByStartTime { start_time: time };
        let mut scan = Scan {
            before: Timestamp(u64::MAX),
            position: 0,
            selects: Status::is_terminal,
            found: Vec::new(),
        };
        loop {
            let position = scan.position;
            scan = self.scan(from, scan).await?;
            if scan.position == position {
                return Ok(scan.found.into_iter().map(|found| found.run).collect());
            }
            from = DeliverPolicy::ByStartSequence { start_sequence: scan.position + 1 };
        }
    }

    async fn scan(&self, from: DeliverPolicy, scan: Scan) -> Result<Scan, BackendError> {
        let name = format!("sweep_{:016x}", rand::random::<u64>());
        let consumer = ephemeral_consumer(name.clone(), self.names.snapshots(None), from);
        let created = api::create_consumer(&self.connection, &self.streams.runs, &consumer).await;
        created.map_err(|failure| failure.cannot("scan the snapshots"))?;
        let scanned = self.read_headers(&name, scan).await;
        // The server would remove it a little later.
        if let Err(failure) = api::delete_consumer(&self.connection, &self.streams.runs, &name).await {
            tracing::debug!(error = %failure, "cannot remove the consumer of a scan; it expires");
        }
        scanned
    }

    async fn read_headers(&self, consumer: &str, mut scan: Scan) -> Result<Scan, BackendError> {
        let failed = |error: &dyn fmt::Display| {
            let sentence = format!("cannot scan the snapshots: {error}");
            BackendError::new(BackendErrorKind::Unavailable, sentence)
        };
        let client = &self.connection.client;
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let mut reads = 0;
        while reads < MAX_READS {
            let request = PullRequest::new(READ_AT_ONCE);
            let sent = request.send(&self.connection, &self.streams.runs, consumer, inbox.clone()).await;
            sent.map_err(|failure| failed(&failure))?;
            for _ in 0..READ_AT_ONCE {
                let next = timeout(NEXT_MESSAGE_WITHIN, messages.next()).await.ok().flatten();
                let message = next.ok_or_else(|| failed(&"the server did not reply in time"))?;
                match message.status {
                    None => {
                        reads += 1;
                        if !scan.read(&self.names, &message) {
                            return Ok(scan);
                        }
                    }
                    Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(scan),
                    Some(_) => return Err(failed(&direct::status_text(&message))),
                }
            }
        }
        Ok(scan)
    }
}

impl Scan {
    /// Reads the headers of one snapshot. Returns false if it is young, as are all that follow.
    fn read(&mut self, names: &Names, message: &Message) -> bool {
        let Some(delivery) = message.reply.as_ref().and_then(|reply| DeliveryInfo::parse(reply)) else {
            return true;
        };
        if delivery.published_millis() >= self.before.0 {
            return false;
        }
        self.position = delivery.sequence;
        let none = HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        if !is_removed(headers)
            && let status = status_of(headers)
            && status.is_none_or(self.selects)
            && let Some(run) = names.run_of_snapshot(&message.subject)
        {
            let cancelled = status == Some(Status::Cancelled);
            self.found.push(StaleRun { run, revision: delivery.sequence, cancelled });
        }
        true
    }
}

fn status_of(headers: &HeaderMap) -> Option<Status> {
    headers.get(STATUS)?.as_str().parse().ok()
}
