//! Pages of runs, those that changed last first. Never on a hot path.
//!
//! The stream is in the order of writing, and the server reads it forwards only. So it is read in windows of sequences, from
//! its end to its beginning. Most sequences of a window are of snapshots that were replaced, so a window that has few
//! snapshots makes the next one wider.

use super::is_removed;
use crate::{
    backend::NatsBackend,
    names::STATUS,
    session::{Failure, direct},
};
use async_nats::jetstream::message::StreamMessage;
use jetway_engine::backend::{BackendError, BackendErrorKind, RunsPage, RunsQuery, Stored};
use jetway_state::run::Status;
use std::collections::{HashSet, VecDeque};

/// The default number of runs on a page.
const DEFAULT_LIMIT: usize = 100;
/// The largest page. A client that asks for more gets this, and the cursor of the next page.
const MAX_LIMIT: usize = 1000;
/// How many bytes of snapshots are on one page, about. A page of large records has fewer of them.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How many snapshots are read per request.
const READ_AT_ONCE: usize = 256;
/// How many snapshots are read for one page, about, and how many bytes of them. So a page of a rare status may have few or no
/// runs, and a next page.
const MAX_READS: usize = 20_000;
const MAX_READ_BYTES: usize = 128 * 1024 * 1024;
/// The first window, in sequences.
const FIRST_WIDTH: u64 = 1024;

/// The snapshots of some sequences that match a query.
#[derive(Default)]
struct Window {
    /// In the order of the stream.
    matching: VecDeque<StreamMessage>,
    bytes: usize,
    reads: usize,
    read_bytes: usize,
    /// The sequence of the last message that was read.
    last: u64,
    /// Whether the oldest ones were dropped, since the page has no room for them.
    full: bool,
}

/// What a query selects.
struct Selection<'a> {
    subjects: &'a str,
    status: Option<Status>,
    limit: usize,
    bytes: usize,
}

impl NatsBackend {
    pub(super) async fn list_runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        match self.read_page(query).await {
            Ok(page) => page,
            Err(failure) => Err(self.failed(failure, "list runs".to_owned()).await),
        }
    }

    async fn read_page(&self, query: &RunsQuery) -> Result<Result<RunsPage, BackendError>, Failure> {
        let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit.min(MAX_LIMIT) };
        let subjects = self.names.snapshots(query.workflow.as_ref());
        let cursor = match parse_cursor(query.after.as_deref()) {
            Ok(cursor) => cursor,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut end = match cursor {
            Some(cursor) => cursor,
            None => self.last_sequence(&subjects).await?.map_or(0, |last| last + 1),
        };
        let mut newest = Newest { is_first_page: cursor.is_none(), windows: 0, last: end.saturating_sub(1) };
        let mut page = RunsPage::default();
        let (mut width, mut bytes, mut read_bytes) = (FIRST_WIDTH, 0, 0);
        while end > 1 {
            let start = end.saturating_sub(width).max(1);
            // One more than is wanted tells whether a page follows.
            let (limit, bytes_left) = (limit + 1 - page.runs.len(), MAX_BYTES.saturating_sub(bytes));
            let selection = Selection { subjects: &subjects, status: query.status, limit, bytes: bytes_left };
            let window = self.read_window(&selection, start..newest.end_of_window(end)).await?;
            newest.note(&window);
            width = next_width(width, window.reads);
            end = window.matching.front().filter(|_| window.full).map_or(start, |oldest| oldest.sequence);
            page.scanned += window.reads as u64;
            bytes += window.bytes;
            read_bytes += window.read_bytes;
            page.runs.extend(window.matching.into_iter().rev().filter_map(|message| self.stored(message)));
            if window.full || page.scanned >= MAX_READS as u64 || read_bytes >= MAX_READ_BYTES {
                break;
            }
        }
        if let Some(from) = newest.written_since() {
            let selection = Selection { subjects: &subjects, status: query.status, limit, bytes: MAX_BYTES };
            let window = self.read_window(&selection, from..u64::MAX).await?;
            page.scanned += window.reads as u64;
            let moved = window.matching.into_iter().rev().filter_map(|message| self.stored(message));
            page.runs = moved.chain(page.runs).collect();
        }
        // One that was written meanwhile may have been read twice.
        page.runs = first_of_each(page.runs);
        if page.runs.len() > limit {
            page.runs.truncate(limit);
            page.next = page.runs.last().map(|last| last.revision.to_string());
        } else if end > 1 {
            page.next = Some(end.to_string());
        }
        Ok(Ok(page))
    }

    /// The sequence of the last message of these subjects.
    async fn last_sequence(&self, subjects: &str) -> Result<Option<u64>, Failure> {
        let (connection, stream) = (self.reads.get().await?, &self.streams.runs);
        match direct::last(&connection, stream, subjects).await {
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                Ok(self.reads.latest(stream, subjects).await?.map(|last| last.sequence))
            }
            read => read,
        }
    }

    /// Reads the snapshots with these sequences, and keeps the newest that match.
    async fn read_window(
        &self,
        selection: &Selection<'_>,
        sequences: std::ops::Range<u64>,
    ) -> Result<Window, Failure> {
        let (mut window, mut from) = (Window::default(), sequences.start);
        loop {
            let (connection, stream) = (self.reads.get().await?, &self.streams.runs);
            let read = match direct::page(&connection, stream, selection.subjects, from, READ_AT_ONCE).await {
                Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                    self.reads.page(stream, selection.subjects, from, READ_AT_ONCE).await?
                }
                read => read?,
            };
            let more = read.pending > 0;
            let Some(last) = read.messages.last().map(|message| message.sequence) else { return Ok(window) };
            for message in read.messages.into_iter().filter(|message| message.sequence < sequences.end) {
                window.add(message, selection);
            }
            from = last + 1;
            if !more || from >= sequences.end {
                return Ok(window);
            }
        }
    }

    fn stored(&self, message: StreamMessage) -> Option<Stored> {
        let run = self.names.run_of_snapshot(&message.subject)?;
        Some(Stored { run, bytes: message.payload, revision: message.sequence })
    }
}

/// The end of the stream, which moves while a page is read: a run that is written meanwhile goes there from wherever it was.
/// So the first window has no end, and what was written after it was read is read at last. Then no run is missed that was
/// there from the beginning.
struct Newest {
    /// Whether the page begins at the end of the stream.
    is_first_page: bool,
    windows: usize,
    /// The sequence of the last message of the first window.
    last: u64,
}

impl Newest {
    fn end_of_window(&self, end: u64) -> u64 {
        if self.is_first_page && self.windows == 0 { u64::MAX } else { end }
    }

    fn note(&mut self, window: &Window) {
        if self.windows == 0 {
            self.last = self.last.max(window.last);
        }
        self.windows += 1;
    }

    /// From where on to read again: within one window the reader meets each record that moves ahead of it.
    fn written_since(&self) -> Option<u64> {
        (self.is_first_page && self.windows > 1).then_some(self.last + 1)
    }
}

/// The first record of each run, which is the latest.
fn first_of_each(mut runs: Vec<Stored>) -> Vec<Stored> {
    let mut seen = HashSet::new();
    runs.retain(|stored| seen.insert(stored.run.clone()));
    runs
}

impl Window {
    fn add(&mut self, message: StreamMessage, selection: &Selection<'_>) {
        self.reads += 1;
        self.last = message.sequence;
        self.read_bytes += message.payload.len();
        if !matches_status(&message, selection.status) {
            return;
        }
        self.bytes += message.payload.len();
        self.matching.push_back(message);
        // The newest one is kept, whatever its size.
        while self.matching.len() > selection.limit
            || (self.bytes > selection.bytes && self.matching.len() > 1)
        {
            let dropped = self.matching.pop_front();
            self.bytes -= dropped.map_or(0, |dropped| dropped.payload.len());
            self.full = true;
        }
    }
}

/// The width of the next window: such that one request reads most of it.
fn next_width(width: u64, reads: usize) -> u64 {
    match reads {
        0..READ_AT_ONCE => width.saturating_mul(2),
        reads if reads > 2 * READ_AT_ONCE => (width / 2).max(READ_AT_ONCE as u64),
        _ => width,
    }
}

/// The sequence before which the page starts.
fn parse_cursor(after: Option<&str>) -> Result<Option<u64>, BackendError> {
    let Some(after) = after else { return Ok(None) };
    after.parse().map(Some).map_err(|_not_a_number| {
        let sentence = format!("invalid cursor {after:?}: use the value of `next` of the previous page");
        BackendError::new(BackendErrorKind::Invalid, sentence)
    })
}

fn matches_status(message: &StreamMessage, status: Option<Status>) -> bool {
    if is_removed(&message.headers) {
        return false;
    }
    let Some(wanted) = status else { return true };
    message.headers.get(STATUS).is_some_and(|found| found.as_str() == wanted.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_sequence() {
        assert_eq!(parse_cursor(None).unwrap(), None);
        assert_eq!(parse_cursor(Some("17")).unwrap(), Some(17));
        assert_eq!(parse_cursor(Some("x")).unwrap_err().kind(), BackendErrorKind::Invalid);
    }

    #[test]
    fn u8_windows_follow_the_density_of_the_stream() {
        assert_eq!(next_width(1024, 3), 2048);
        assert_eq!(next_width(1024, 300), 1024);
        assert_eq!(next_width(1024, 1000), 512);
        assert_eq!(next_width(u64::MAX, 0), u64::MAX);
    }
}
