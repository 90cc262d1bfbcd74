//! Pages of runs. For people: never on a hot path.

use super::is_removed;
use crate::{backend::NatsBackend, direct, names::STATUS};
use async_nats::jetstream::message::StreamMessage;
use jetway_engine::backend::{BackendError, BackendErrorKind, RunsPage, RunsQuery, Stored};
use jetway_state::run::Status;

/// How many runs a page has where nobody says how many.
const USUAL: usize = 100;
/// How many snapshots are read at once.
const AT_ONCE: usize = 256;
/// How many snapshots one page looks at, at most: a page of a rare status may be short, or empty, and have a next one.
const LOOKED_AT: usize = 4096;

impl NatsBackend {
    pub(super) async fn list(&self, query: &RunsQuery) -> Result<RunsPage, BackendError> {
        let limit = if query.limit == 0 { USUAL } else { query.limit };
        let filter = self.names.snapshots(query.workflow.as_ref());
        let mut cursor = position(query.after.as_deref())?;
        let mut page = RunsPage::default();
        let mut looked_at = 0;
        loop {
            let most = (limit - page.runs.len()).clamp(1, AT_ONCE);
            let read = direct::page(&self.link, &self.streams.runs, &filter, cursor + 1, most).await;
            let read = read.map_err(|failure| failure.cannot("list runs"))?;
            let (count, more) = (read.messages.len(), read.pending > 0);
            looked_at += count;
            for message in read.messages {
                cursor = message.sequence;
                if fits(&message, query.status)
                    && let Some(run) = self.names.run_of_snapshot(&message.subject)
                {
                    page.runs.push(Stored { run, bytes: message.payload, revision: message.sequence });
                }
            }
            if count == 0 || !more {
                return Ok(page);
            }
            if page.runs.len() >= limit || looked_at >= LOOKED_AT {
                page.next = Some(cursor.to_string());
                return Ok(page);
            }
        }
    }
}

fn position(after: Option<&str>) -> Result<u64, BackendError> {
    let Some(after) = after else { return Ok(0) };
    after.parse().map_err(|_not_a_number| {
        let sentence = format!("{after:?} is not where a page of runs ended");
        BackendError::new(BackendErrorKind::Refused, sentence)
    })
}

fn fits(message: &StreamMessage, status: Option<Status>) -> bool {
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
    fn a_cursor_is_a_revision() {
        assert_eq!(position(None).unwrap(), 0);
        assert_eq!(position(Some("17")).unwrap(), 17);
        assert_eq!(position(Some("x")).unwrap_err().kind(), BackendErrorKind::Refused);
    }
}
