//! Messages whose headers the client library cannot parse.
//!
//! The server accepts any bytes as headers, but the library closes a connection on which it receives headers that it cannot
//! parse. Such a message would be delivered again when its lease expires, forever, and close the connection each time. So
//! when a pull starts, and after each reconnect, a scan reads the messages that the consumer has delivered and nobody has
//! acknowledged. It reads them with the JetStream API, which encodes headers as text. Messages with unparsable headers
//! become dead letters.

use super::Source;
use crate::{
    dead_letters::DeadLetters,
    names::ORIGINAL_HEADERS,
    session::{
        Connection, Failure,
        api::{self, RawOrParsed},
    },
};
use jetway_engine::backend::{BackendError, DeadLetter};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The reason of such a dead letter.
const UNREADABLE: &str = "unreadable-headers";
/// How many messages one scan reads at most: more than a consumer delivers at once.
const MAX_MESSAGES: usize = 10_000;
/// How many scans may wait.
const CAPACITY: usize = 1024;

/// Scans for messages with unparsable headers.
#[derive(Debug, Clone)]
pub(crate) struct HeaderScan {
    scheduled: mpsc::Sender<Source>,
}

impl HeaderScan {
    /// Starts the task that runs scheduled scans. It ends with the handle.
    pub(crate) fn start(
        connection: Arc<Connection>,
        dead_letters: DeadLetters,
    ) -> (Self, AbortOnDropHandle<()>) {
        let (scheduled, mut sources) = mpsc::channel::<Source>(CAPACITY);
        let task = tokio::spawn(async move {
            while let Some(source) = sources.recv().await {
                scan_and_log(&connection, &source, &dead_letters).await;
            }
        });
        (Self { scheduled }, AbortOnDropHandle::new(task))
    }

    /// Schedules a scan. At the start of a pull and after a reconnect: a message of this consumer may have closed a connection.
    /// Nobody waits for it, since a consumer may have thousands of messages that were delivered and not acknowledged.
    pub(super) fn schedule(&self, source: &Source) {
        if self.scheduled.try_send(source.clone()).is_err() {
            tracing::debug!("too many scans for unparsable headers are waiting; skipped one");
        }
    }
}

async fn scan_and_log(connection: &Connection, source: &Source, dead_letters: &DeadLetters) {
    let stream = &source.stream;
    match scan(connection, source, dead_letters).await {
        Ok(0) => {}
        Ok(messages) => {
            tracing::warn!(messages, stream, "moved messages with unparsable headers to the dead letters");
        }
        // If there is such a message, it closes the connection again, and the next reconnect schedules another scan.
        Err(error) => {
            tracing::warn!(%error, stream, "cannot scan for messages with unparsable headers");
        }
    }
}

/// Returns the number of messages that became dead letters.
async fn scan(
    connection: &Connection,
    source: &Source,
    dead_letters: &DeadLetters,
) -> Result<u64, BackendError> {
    let Source { stream, consumer, filter, workflow } = source;
    let failed = |failure: Failure| {
        failure.cannot(format!("look for messages of stream {stream} with unparsable headers"))
    };
    let info = api::consumer_info(connection, stream, consumer).await.map_err(failed)?;
    let (mut from, last) = (info.ack_floor.stream_seq + 1, info.delivered.stream_seq);
    let mut moved = 0;
    for _ in 0..MAX_MESSAGES {
        let found = api::first_from(connection, stream, filter, from).await.map_err(failed)?;
        let Some(RawOrParsed { message, raw_headers }) = found.filter(|found| found.message.sequence <= last)
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
        dead_letters.store(letter).await?;
        api::delete_message(connection, stream, message.sequence).await.map_err(failed)?;
        moved += 1;
    }
    Ok(moved)
}
