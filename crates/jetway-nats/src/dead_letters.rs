//! Dead letters: messages that cannot be processed, stored with the reason, their headers and their payload.
//!
//! A sender chooses the headers of its message, and some names mean something on a dead letter:
//!
//! | the sender's header | why | on the dead letter |
//! |---|---|---|
//! | `Nats-...` | the server would act on it | `Jetway-Original-Nats-...` |
//! | `Jetway-...`, in any case | hosts describe the dead letter with such names | `Jetway-Original-Jetway-...` |
//! | `Jetway-Run-Id`, in any case | it is the run id that the sender has chosen | the same |

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
        let name = if has_prefix(&name, names::SERVER_HEADER) { original_name(&name) } else { name };
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

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn original_name(name: &str) -> String {
    format!("{}{name}", names::ORIGINAL_HEADER)
}

/// The headers of a client's message, without those that a reader of the dead letter would take for those of a host.
pub(crate) fn sender_headers(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let is_run_id = |name: &str| name.eq_ignore_ascii_case(names::RUN_ID.as_ref());
    let is_own = |name: &str| has_prefix(name, names::OWN_HEADER) && !is_run_id(name);
    let renamed = |(name, value): (String, String)| match is_own(&name) {
        true => (original_name(&name), value),
        false => (name, value),
    };
    headers_of(headers).into_iter().map(renamed).collect()
}

/// A dead letter of a message, without a reason yet.
pub(crate) fn dead_letter_of(message: &Message, workflow: &str, id: String) -> DeadLetter {
    DeadLetter {
        workflow: workflow.to_owned(),
        subject: message.subject.to_string(),
        headers: sender_headers(message.headers.as_ref()),
        payload: message.payload.clone(),
        id,
        ..DeadLetter::default()
    }
}

/// The headers as a sorted list.
fn headers_of(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
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
    fn a9_a_sender_cannot_write_headers_of_a_host() {
        let mut forged = HeaderMap::new();
        for name in ["Jetway-Original-Size", "jetway-why", "JETWAY-Node", "Jetway-Tags"] {
            forged.append(name, "forged");
        }
        forged.append("jetway-RUN-id", "r-1");
        forged.append("jetwaylike", "kept");
        let message = Message {
            subject: "jetway.ns.start.a".into(),
            reply: None,
            payload: Vec::new().into(),
            headers: Some(forged),
            status: None,
            description: None,
            length: 0,
        };
        let letter = dead_letter_of(&message, "a", "1".to_owned());
        let headers = letter_headers("bad-input", "it is bad", "jetway.ns.start.a", "1", letter.headers);
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        let expected = [
            "Jetway-Original-JETWAY-Node",
            "Jetway-Original-Jetway-Original-Size",
            "Jetway-Original-Jetway-Tags",
            "Jetway-Original-Subject",
            "Jetway-Original-jetway-why",
            "Jetway-Reason",
            "Jetway-Why",
            "Nats-Msg-Id",
            "jetway-RUN-id",
            "jetwaylike",
        ];
        assert_eq!(names, expected);
        assert_eq!(get(&headers, "Jetway-Why").as_deref(), Some("bad-input"));
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
