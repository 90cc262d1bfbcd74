//! Pages of runs. Never on a hot path.

use super::is_removed;
use crate::{backend::NatsBackend, names::STATUS, session::direct};
use async_nats::jetstream::message::StreamMessage;
use jetway_engine::backend::{BackendError, BackendErrorKind, RunsPage, RunsQuery, Stored};
use jetway_state::run::Status;

/// The default number of runs on a page.
const DEFAULT_LIMIT: usize = 100;
/// The largest page. A client that asks for more gets this, and the cursor of the next page.
const MAX_LIMIT: usize = 1000;
/// How many bytes of snapshots are read for one page, about. A page of large records has fewer of them.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How many snapshots are read per request.
const READ_AT_ONCE: usize = 256;
/// How many snapshots are read for one page. So a page of a rare status may have few or no runs, and a next page.
const MAX_READS: usize = 4096;

impl NatsBackend {
    pub(super) async fn list_runs(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit.min(MAX_LIMIT) };
        let filter = self.names.snapshots(query.workflow.as_ref());
        let mut cursor = parse_cursor(query.after.as_deref())?;
        let mut page = RunsPage::default();
        let (mut reads, mut bytes) = (0, 0);
        loop {
            let max = (limit - page.runs.len()).clamp(1, READ_AT_ONCE);
            let read = direct::page(&self.connection, &self.streams.runs, &filter, cursor + 1, max).await;
            let read = match read {
                Ok(read) => read,
                Err(failure) => return Err(self.failed(failure, "list runs".to_owned()).await),
            };
            let (count, more) = (read.messages.len(), read.pending > 0);
            reads += count;
            for message in read.messages {
                cursor = message.sequence;
                bytes += message.payload.len();
                if matches_status(&message, query.status)
                    && let Some(run) = self.names.run_of_snapshot(&message.subject)
                {
                    page.runs.push(Stored { run, bytes: message.payload, revision: message.sequence });
                }
            }
            if count == 0 || !more {
                return Ok(page);
            }
            if page.runs.len() >= limit || reads >= MAX_READS || bytes >= MAX_BYTES {
                page.next = Some(cursor.to_string());
                return Ok(page);
            }
        }
    }
}

/// The sequence after which the page starts.
fn parse_cursor(after: Option<&str>) -> Result<u64, BackendError> {
    let Some(after) = after else { return Ok(0) };
    after.parse().map_err(|_not_a_number| {
        let sentence = format!("invalid cursor {after:?}: use the value of `next` of the previous page");
        BackendError::new(BackendErrorKind::Refused, sentence)
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
        assert_eq!(parse_cursor(None).unwrap(), 0);
        assert_eq!(parse_cursor(Some("17")).unwrap(), 17);
        assert_eq!(parse_cursor(Some("x")).unwrap_err().kind(), BackendErrorKind::Refused);
    }
}
