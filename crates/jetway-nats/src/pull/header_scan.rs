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
}

impl HeaderScan {
    /// Starts the task that runs scheduled scans. It ends with the handle.
    pub(crate) fn start(reads: Arc<Reads>, dead_letters: DeadLetters) -> (Self, AbortOnDropHandle<()>) {
        let scanner = Scanner { reads, dead_letters };
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
        Scanner { reads, dead_letters }.scan_and_log(source).await;
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
        let Source { stream, filter, workflow, .. } = source;
        let (mut from, mut moved) = (*part.start(), 0);
        for _ in 0..MAX_MESSAGES {
            let found = api::first_from(connection, stream, filter, from).await;
            let found = found.map_err(|failure| cannot(failure, stream))?;
            let Some(RawOrParsed { message, raw_headers }) =
                found.filter(|found| part.contains(&found.message.sequence))
            else {
                break;
            };
            from = message.sequence + 1;
            let Some(headers) = raw_headers else { continue };
            let letter = DeadLetter {
                workflow: workflow.clone(),
                why: UNREADABLE.to_owned(),
                reason: "its headers are not valid NATS headers, so no host can receive it".to_owned(),
                subject: message.subject.to_string(),
                headers: vec![(ORIGINAL_HEADERS.to_string(), headers)],
                payload: message.payload,
                id: format!("{stream}-{}", message.sequence),
            };
            self.dead_letters.store(letter).await?;
            let deleted = api::delete_message(connection, stream, message.sequence).await;
            deleted.map_err(|failure| cannot(failure, stream))?;
            moved += 1;
        }
        Ok(moved)
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
