//! Dead letters: what cannot be run or decoded, kept with its reason, its headers and its bytes.
//!
//! A header that is an order to the server (`Nats-...`) would be obeyed again if the letter carried it as it came, so it
//! is kept under the name `Jetway-Original-Nats-...`.

mod fit;

use crate::{
    committer::Committer,
    names::{self, Names},
    write::{Body, Write, insert, one_line},
};
use async_nats::{HeaderMap, HeaderName, Message, header::NATS_MESSAGE_ID};
use fit::{Kept, fit};
use jetway_engine::backend::{BackendError, DeadLetter};
use std::sync::Arc;

/// Keeps dead letters.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    names: Names,
    committer: Arc<Committer>,
}

impl DeadLetters {
    pub(crate) fn new(names: Names, committer: Arc<Committer>) -> Self {
        Self { names, committer }
    }

    /// Keeps a letter. One with the same id is kept once, as far back as the server remembers ids.
    pub(crate) async fn keep(&self, letter: DeadLetter) -> Result<(), BackendError> {
        let DeadLetter { workflow, why, reason, subject, headers, payload, id } = letter;
        tracing::warn!(workflow, why, reason, subject, "dead letter");
        let reason = fit::short(&reason);
        let own = size(&letter_headers(&why, reason, &subject, &id, Vec::new()));
        let Kept { headers, payload, cut } =
            fit(headers, payload, self.committer.largest().saturating_sub(own));
        let mut headers = letter_headers(&why, reason, &subject, &id, headers);
        insert(&mut headers, names::CUT, cut.as_deref());
        let write =
            Write { subject: self.names.dead(&workflow, &why).into(), payload, body: Body::Always(headers) };
        let stored = self.committer.write(write).await;
        stored.map(drop).map_err(|error| error.of(format!("the dead letter of {subject} ({why})")))
    }
}

/// How many bytes these headers take in a message, at least.
fn size(headers: &HeaderMap) -> usize {
    headers_of(Some(headers)).iter().map(|(name, value)| name.len() + value.len()).sum()
}

pub(crate) fn letter_headers(
    why: &str,
    reason: &str,
    subject: &str,
    id: &str,
    original: Vec<(String, String)>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in original {
        let name = if is_order(&name) { format!("{}{name}", names::ORIGINAL_HEADER) } else { name };
        if let Ok(name) = name.parse::<HeaderName>() {
            headers.append(name, one_line(&value).as_str());
        }
    }
    insert(&mut headers, names::WHY, Some(why));
    insert(&mut headers, names::REASON, Some(reason));
    insert(&mut headers, names::ORIGINAL_SUBJECT, Some(subject));
    if !id.is_empty() {
        insert(&mut headers, NATS_MESSAGE_ID, Some(&format!("{why} {id}")));
    }
    headers
}

fn is_order(name: &str) -> bool {
    let start = name.get(..names::SERVER_HEADER.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(names::SERVER_HEADER))
}

/// A message as it came, for a letter that has yet to be given its reason.
pub(crate) fn letter_of(message: &Message, workflow: &str, id: String) -> DeadLetter {
    DeadLetter {
        workflow: workflow.to_owned(),
        subject: message.subject.to_string(),
        headers: headers_of(message.headers.as_ref()),
        payload: message.payload.clone(),
        id,
        ..DeadLetter::default()
    }
}

/// Headers as a list, in a stable order.
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
    fn an_order_to_the_server_is_kept_and_not_given_again() {
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
    fn headers_are_listed_with_all_their_values() {
        let mut headers = HeaderMap::new();
        headers.append("b", "2");
        headers.append("a", "1");
        headers.append("a", "0");
        let list = headers_of(Some(&headers));
        let expected = [("a", "0"), ("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(list, expected);
    }
}
