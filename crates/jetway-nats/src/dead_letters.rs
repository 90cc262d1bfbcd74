//! Dead letters: messages that cannot be processed, stored with the reason, their headers and their payload.
//!
//! The server would act on a header `Nats-...` of a dead letter. So such a header of the original message gets the name
//! `Jetway-Original-Nats-...`.

mod fit;

use crate::{
    committer::{Committer, Condition, Write},
    headers::{insert_text, one_line},
    names::{self, Names},
};
use async_nats::{HeaderMap, HeaderName, Message, header::NATS_MESSAGE_ID};
use fit::{FittedLetter, fit};
use jetway_engine::backend::{BackendError, DeadLetter};
use std::sync::Arc;

/// Stores dead letters.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    names: Names,
    committer: Arc<Committer>,
}

impl DeadLetters {
    pub(crate) fn new(names: Names, committer: Arc<Committer>) -> Self {
        Self { names, committer }
    }

    /// Stores a dead letter. If another one with the same id was stored within the server's window of duplicates, it is
    /// not stored again.
    pub(crate) async fn store(&self, letter: DeadLetter) -> Result<(), BackendError> {
        let DeadLetter { workflow, why, reason, subject, headers, payload, id } = letter;
        tracing::warn!(workflow, why, subject, "dead letter");
        // It may quote the payload.
        tracing::debug!(reason, "dead letter");
        let reason = fit::shortened(&reason);
        let own = size(&letter_headers(&why, reason, &subject, &id, Vec::new()));
        let room = self.committer.max_payload().saturating_sub(own);
        let FittedLetter { headers, payload, original_size } = fit(headers, payload, room);
        let mut headers = letter_headers(&why, reason, &subject, &id, headers);
        insert_text(&mut headers, names::ORIGINAL_SIZE, original_size.as_deref());
        let dead = self.names.dead(&workflow, &why);
        let write = Write { subject: dead.into(), payload, condition: Condition::Always(headers) };
        let stored = self.committer.write(write).await;
        stored.map(drop).map_err(|error| error.error_of(format!("the dead letter of {subject} ({why})")))
    }
}

/// The minimum size of these headers in a message, in bytes.
fn size(headers: &HeaderMap) -> usize {
    headers_of(Some(headers)).iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// The headers of a dead letter. `original` are those of the message.
pub(crate) fn letter_headers(
    why: &str,
    reason: &str,
    subject: &str,
    id: &str,
    original: Vec<(String, String)>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in original {
        let name = if is_server_header(&name) { format!("{}{name}", names::ORIGINAL_HEADER) } else { name };
        if let Ok(name) = name.parse::<HeaderName>() {
            headers.append(name, one_line(&value).as_str());
        }
    }
    insert_text(&mut headers, names::WHY, Some(why));
    insert_text(&mut headers, names::REASON, Some(reason));
    insert_text(&mut headers, names::ORIGINAL_SUBJECT, Some(subject));
    if !id.is_empty() {
        insert_text(&mut headers, NATS_MESSAGE_ID, Some(&format!("{why} {id}")));
    }
    headers
}

fn is_server_header(name: &str) -> bool {
    let start = name.get(..names::SERVER_HEADER.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(names::SERVER_HEADER))
}

/// A dead letter of a message, without a reason yet.
pub(crate) fn dead_letter_of(message: &Message, workflow: &str, id: String) -> DeadLetter {
    DeadLetter {
        workflow: workflow.to_owned(),
        subject: message.subject.to_string(),
        headers: headers_of(message.headers.as_ref()),
        payload: message.payload.clone(),
        id,
        ..DeadLetter::default()
    }
}

/// The headers as a sorted list.
pub(crate) fn headers_of(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let each = headers.into_iter().flat_map(HeaderMap::iter);
    let mut list: Vec<_> = each
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())))
        .collect();
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(headers: &HeaderMap, name: &'static str) -> Option<String> {
        headers.get(name).map(ToString::to_string)
    }

    #[test]
    fn headers_that_the_server_acts_on_are_renamed() {
        let original = vec![
            ("Nats-Rollup".to_owned(), "all".to_owned()),
            ("nats-ttl".to_owned(), "1s".to_owned()),
            ("traceparent".to_owned(), "00-a".to_owned()),
        ];
        let headers = letter_headers("bad-input", "it is\nbad", "jetway.ns.start.a", "7", original);
        assert_eq!(get(&headers, "Nats-Rollup"), None);
        assert_eq!(get(&headers, "nats-ttl"), None);
        assert_eq!(get(&headers, "Jetway-Original-Nats-Rollup").as_deref(), Some("all"));
        assert_eq!(get(&headers, "Jetway-Original-nats-ttl").as_deref(), Some("1s"));
        assert_eq!(get(&headers, "traceparent").as_deref(), Some("00-a"));
        assert_eq!(get(&headers, "Jetway-Reason").as_deref(), Some("it is bad"));
        assert_eq!(get(&headers, "Nats-Msg-Id").as_deref(), Some("bad-input 7"));
    }

    #[test]
    fn all_values_of_a_header_are_listed() {
        let mut headers = HeaderMap::new();
        headers.append("b", "2");
        headers.append("a", "1");
        headers.append("a", "0");
        let list = headers_of(Some(&headers));
        let expected = [("a", "0"), ("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(list, expected);
    }
}
