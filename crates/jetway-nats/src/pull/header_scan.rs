//! Messages whose headers the client library cannot parse.
//!
//! The server accepts any bytes as headers, but the library closes a connection on which it receives headers that it cannot
//! parse. Such a message would be delivered again when its lease expires, forever, and close the connection each time. So
//! a scan reads the messages that the consumer has delivered and nobody has acknowledged. It reads them with the JetStream
//! API, which encodes headers as text, and over a connection on which no consumer delivers. Messages with unparsable headers
//! become dead letters.
//!
//! | what the consumer delivers | the scan |
//! |---|---|
//! | tickets, and work items of stores | ends before the first request, since the process ends with the connection on which they arrive: without it, each process would end again |
//! | what clients send | runs beside the pull, since its connection is made again |
//!
//! After a reconnect another scan runs beside the pull.

use super::Source;
use crate::{
    dead_letters::DeadLetters,
    names::ORIGINAL_HEADERS,
    read_start::ReadStart,
    result_writer::ResultWriter,
    session::{
        Backoff, Connection, Failure, Reads,
        api::{self, RawOrParsed},
    },
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway_engine::backend::{BackendError, DeadLetter};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The reason of such a dead letter.
const UNREADABLE: &str = "unreadable-headers";
/// The same as a sentence.
const REASON: &str = "its headers are not valid NATS headers, so no host can receive it";
/// How many messages one reader of a scan reads at most: more than a consumer delivers at once.
const MAX_MESSAGES: usize = 10_000;
/// How many readers share a scan. A pull of tickets waits for them.
const READERS: u64 = 16;
/// How many scans may wait.
const CAPACITY: usize = 1024;
/// How often a scan is tried. The connection that it uses may end by a message that somebody else reads.
const TRIES: usize = 4;
/// The delays between. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// Scans for messages with unparsable headers.
#[derive(Debug, Clone)]
pub(crate) struct HeaderScan {
    scanner: Scanner,
    scheduled: mpsc::Sender<Source>,
}

/// What a scan needs.
#[derive(Debug, Clone)]
struct Scanner {
    /// Has a connection on which no consumer delivers.
    reads: Arc<Reads>,
    dead_letters: DeadLetters,
    /// Tells the senders of starts; `None` where no starts are scanned.
    results: Option<Arc<ResultWriter>>,
}

impl HeaderScan {
    /// Starts the task that runs scheduled scans. It ends with the handle.
    pub(crate) fn start(
        reads: Arc<Reads>,
        dead_letters: DeadLetters,
        results: Arc<ResultWriter>,
    ) -> (Self, AbortOnDropHandle<()>) {
        let scanner = Scanner { reads, dead_letters, results: Some(results) };
        let (scheduled, mut sources) = mpsc::channel::<Source>(CAPACITY);
        let scheduled_scanner = scanner.clone();
        let task = tokio::spawn(async move {
            while let Some(source) = sources.recv().await {
                scheduled_scanner.scan_and_log(&source).await;
            }
        });
        (Self { scanner, scheduled }, AbortOnDropHandle::new(task))
    }

    /// Schedules a scan: a message of this consumer may have closed a connection. Nobody waits for it, since a consumer may
    /// have thousands of messages that were delivered and not acknowledged.
    pub(crate) fn schedule(&self, source: &Source) {
        if self.scheduled.try_send(source.clone()).is_err() {
            tracing::debug!("too many scans for unparsable headers are waiting; skipped one");
        }
    }

    /// Scans now, if the consumer has delivered messages that nobody has acknowledged.
    pub(crate) async fn finish(&self, source: &Source) {
        self.scanner.scan_and_log(source).await;
    }

    /// The same, without a task for later scans.
    pub(crate) async fn once(reads: Arc<Reads>, dead_letters: DeadLetters, source: &Source) {
        Scanner { reads, dead_letters, results: None }.scan_and_log(source).await;
    }
}

impl Scanner {
    async fn scan_and_log(&self, source: &Source) {
        let stream = &source.stream;
        match self.scan_with_retries(source).await {
            Ok(0) => {}
            Ok(messages) => {
                tracing::warn!(
                    messages,
                    stream,
                    "moved messages with unparsable headers to the dead letters"
                );
            }
            // If there is such a message, it closes the connection again, and the next pull scans again.
            Err(error) => {
                tracing::warn!(%error, stream, "cannot scan for messages with unparsable headers");
            }
        }
    }

    async fn scan_with_retries(&self, source: &Source) -> Result<u64, BackendError> {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        for _ in 1..TRIES {
            match self.scan(source).await {
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "a scan for unparsable headers is tried again");
                    backoff.wait().await;
                }
                scanned => return scanned,
            }
        }
        self.scan(source).await
    }

    /// Returns the number of messages that became dead letters.
    async fn scan(&self, source: &Source) -> Result<u64, BackendError> {
        let Source { stream, consumer, .. } = source;
        let connection = self.reads.get().await.map_err(|failure| cannot(failure, stream))?;
        let info = match api::consumer_info(&connection, stream, consumer).await {
            // It is made later, and has delivered nothing yet.
            Err(failure) if failure.is_absent() => return Ok(0),
            info => info.map_err(|failure| cannot(failure, stream))?,
        };
        if info.num_ack_pending == 0 {
            return Ok(0);
        }
        let parts = parts(info.ack_floor.stream_seq + 1, info.delivered.stream_seq);
        let scans = parts.map(|part| self.scan_part(&connection, source, part));
        let moved = stream::iter(scans).buffer_unordered(READERS as usize);
        moved.try_fold(0, async |sum, moved| Ok(sum + moved)).await
    }

    async fn scan_part(
        &self,
        connection: &Connection,
        source: &Source,
        part: RangeInclusive<u64>,
    ) -> Result<u64, BackendError> {
        let Source { stream, filter, .. } = source;
        let (mut from, mut moved) = (*part.start(), 0);
        for _ in 0..MAX_MESSAGES {
            let found = api::first_from(connection, stream, filter, from).await;
            let found = found.map_err(|failure| cannot(failure, stream))?;
            let Some(found) = found.filter(|found| part.contains(&found.message.sequence)) else { break };
            let sequence = found.message.sequence;
            from = sequence + 1;
            if found.raw_headers.is_some() {
                self.move_to_dead_letters(found, source).await?;
                let deleted = api::delete_message(connection, stream, sequence).await;
                deleted.map_err(|failure| cannot(failure, stream))?;
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Makes a dead letter of a message. The refusal of a start is published first.
    async fn move_to_dead_letters(&self, found: RawOrParsed, source: &Source) -> Result<(), BackendError> {
        let Source { stream, workflow, .. } = source;
        let letter = match &self.results {
            Some(results) if results.is_start(&found.message.subject) => {
                let start = ReadStart::of(found);
                if let Some(refused) = start.refused(workflow, UNREADABLE, REASON) {
                    results.refuse(refused).await?;
                }
                start.into_letter(workflow, UNREADABLE, REASON.to_owned())
            }
            _ => letter_of(found, stream, workflow),
        };
        self.dead_letters.store(letter).await
    }
}

fn letter_of(RawOrParsed { message, raw_headers }: RawOrParsed, stream: &str, workflow: &str) -> DeadLetter {
    DeadLetter {
        workflow: workflow.to_owned(),
        why: UNREADABLE.to_owned(),
        reason: REASON.to_owned(),
        subject: message.subject.to_string(),
        headers: raw_headers.map(|headers| (ORIGINAL_HEADERS.to_string(), headers)).into_iter().collect(),
        payload: message.payload,
        // A stream that is made again starts with sequence 1.
        id: format!("{stream}-{}-{}", message.sequence, message.time.unix_timestamp_nanos()),
    }
}

fn cannot(failure: Failure, stream: &str) -> BackendError {
    failure.cannot(format!("look for messages of stream {stream} with unparsable headers"))
}

/// Splits the sequences from `first` to `last` into at most [`READERS`] parts.
fn parts(first: u64, last: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let size = (last + 1).saturating_sub(first).div_ceil(READERS).max(1);
    let starts = (0..READERS).map(move |part| first + part * size).take_while(move |start| *start <= last);
    starts.map(move |start| start..=last.min(start + size - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_scan_have_every_sequence_once() {
        for (first, last) in [(1, 0), (7, 7), (1, 15), (5, 21), (100, 10_100), (3, 2)] {
            let parts: Vec<_> = parts(first, last).collect();
            assert!(parts.len() as u64 <= READERS, "{parts:?}");
            let all: Vec<u64> = parts.into_iter().flatten().collect();
            assert_eq!(all, (first..=last).collect::<Vec<_>>());
        }
    }
}
