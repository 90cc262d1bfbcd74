//! Scans over the snapshots for the sweep.
//!
//! The stream is in the order of writing, so old snapshots come before young ones. A sweep continues where the last one
//! stopped, and stops at the first snapshot that is young. So each snapshot is read once, and a sweep that finds nothing
//! costs one request.
//!
//! A run that ended is found if it has no result. For that, the results of the same time are read, headers only, too.

use super::is_removed;
use crate::{
    backend::{NatsBackend, headers::HeadersQuery},
    headers::incarnation_of,
    names::{Names, STATUS},
    pull::DeliveryInfo,
    session::{Failure, direct},
};
use async_nats::{HeaderMap, jetstream::consumer::DeliverPolicy};
use jetway_engine::backend::{BackendError, StaleRun};
use jetway_state::{Incarnation, RunKey, Timestamp, run::Status};
use std::{collections::HashSet, ops::ControlFlow, time::Duration};

/// The result of a run that ended is looked for within this time of its end: a later one is found by asking for it alone.
const RESULT_WITHIN: Duration = Duration::from_secs(30);

/// The state of a scan.
struct Scan {
    /// The scan stops at the first snapshot that was written at this time or later.
    before: Timestamp,
    /// The sequence of the last snapshot that was read.
    position: u64,
    /// Selects runs by their status. A run without a status header is always selected.
    selects: fn(Status) -> bool,
    found: Vec<Found>,
}

/// A snapshot that a scan selected.
struct Found {
    run: RunKey,
    incarnation: Option<Incarnation>,
    revision: u64,
    ended: bool,
    /// When it was stored, in milliseconds of the server.
    written: u64,
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
        let scan = Scan { before, position: after, selects: |_any| true, found: Vec::new() };
        let Scan { mut found, position, .. } = self.scan(from, scan).await?;
        // A result that is older than results are kept is gone, and is not missing.
        let kept_since = before.before(self.config.keep_results).0;
        found.retain(|found| !found.ended || found.written > kept_since);
        let mut ended = found.iter().filter(|found| found.ended);
        if let Some(first) = ended.next() {
            let last = ended.next_back().unwrap_or(first);
            let published = self.published_results(first.written, last.written).await?;
            found
                .retain(|found| !found.ended || !published.contains(&(found.run.clone(), found.incarnation)));
        }
        let stale =
            found.into_iter().map(|Found { run, revision, ended, .. }| StaleRun { run, revision, ended });
        Ok((stale.collect(), position))
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

    /// Reads the headers of snapshots from `from` on, up to the first young one.
    async fn scan(&self, from: DeliverPolicy, mut scan: Scan) -> Result<Scan, BackendError> {
        let snapshots = HeadersQuery {
            what: "the snapshots",
            stream: &self.streams.runs,
            subjects: self.names.snapshots(None),
        };
        self.read_headers(snapshots, from, &mut |delivery, subject, headers| {
            scan.read(&self.names, delivery, subject, headers)
        })
        .await?;
        Ok(scan)
    }

    /// The runs that have a stored result, among those that ended from `first` to `last`, in milliseconds of the server.
    async fn published_results(
        &self,
        first: u64,
        last: u64,
    ) -> Result<HashSet<(RunKey, Option<Incarnation>)>, BackendError> {
        let failed = |failure: Failure| failure.cannot("look for results");
        let margin = u64::try_from(RESULT_WITHIN.as_millis()).unwrap_or(u64::MAX);
        let (first, last) = (first.saturating_sub(margin), last.saturating_add(margin));
        let mut from =
            DeliverPolicy::ByStartTime { start_time: direct::server_time(Timestamp(first)).map_err(failed)? };
        let mut found = HashSet::new();
        loop {
            let results = HeadersQuery {
                what: "the results",
                stream: &self.streams.done,
                subjects: self.names.results(),
            };
            let mut position = None;
            self.read_headers(results, from, &mut |delivery, subject, headers| {
                if delivery.published_millis() > last {
                    position = None;
                    return ControlFlow::Break(());
                }
                position = Some(delivery.sequence);
                let run = self.names.run_of_result(subject);
                found.extend(run.map(|run| (run, headers.and_then(incarnation_of))));
                ControlFlow::Continue(())
            })
            .await?;
            let Some(position) = position else { return Ok(found) };
            from = DeliverPolicy::ByStartSequence { start_sequence: position + 1 };
        }
    }
}

impl Scan {
    /// Reads the headers of one snapshot. Breaks if it is young, as are all that follow.
    fn read(
        &mut self,
        names: &Names,
        delivery: DeliveryInfo,
        subject: &str,
        headers: Option<&HeaderMap>,
    ) -> ControlFlow<()> {
        let written = delivery.published_millis();
        if written >= self.before.0 {
            return ControlFlow::Break(());
        }
        self.position = delivery.sequence;
        let none = HeaderMap::new();
        let headers = headers.unwrap_or(&none);
        if !is_removed(headers)
            && let status = status_of(headers)
            && status.is_none_or(self.selects)
            && let Some(run) = names.run_of_snapshot(subject)
        {
            let ended = status.is_some_and(Status::is_terminal);
            let (incarnation, revision) = (incarnation_of(headers), delivery.sequence);
            self.found.push(Found { run, incarnation, revision, ended, written });
        }
        ControlFlow::Continue(())
    }
}

fn status_of(headers: &HeaderMap) -> Option<Status> {
    headers.get(STATUS)?.as_str().parse().ok()
}
