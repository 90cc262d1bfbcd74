//! What this crate makes of bytes that came over the wire, without a server: for the fuzz targets, and no part of the
//! interface.

use crate::{
    dead_letters, names::Ask, names::Names, pull::reply::Origin, pull::status::Status, requests,
    service::answer, snapshots::chunks, starts, tickets, tickets::Unread,
};
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message, StatusCode};
use bytes::Bytes;
use jetway_engine::{
    Control,
    backend::{DeadLetter, RunsQuery, StartRequest, Ticket},
};
use jetway_state::{CommitId, Fingerprint, ItemId, Namespace, RunId, RunKey, WorkflowName, run::ChunkRef};
use serde_json::Value;
use std::{ops::Range, time::Duration};

/// A message as it comes over the wire.
#[derive(Debug, Clone, Default)]
pub struct Wire<'a> {
    /// What follows `NATS/1.0` in the headers.
    pub status: Option<u16>,
    /// Its subject.
    pub subject: &'a str,
    /// Its reply subject; empty where it has none.
    pub reply: &'a str,
    /// Its headers; those that the client library refuses do not get here.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Wire<'_> {
    fn message(&self) -> Message {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                headers.append(name, value);
            }
        }
        Message {
            subject: self.subject.into(),
            reply: (!self.reply.is_empty()).then(|| self.reply.into()),
            payload: Bytes::copy_from_slice(self.payload),
            headers: Some(headers),
            status: self.status.and_then(|status| StatusCode::from_u16(status).ok()),
            description: None,
            length: self.payload.len(),
        }
    }
}

/// The names of a namespace.
#[derive(Debug, Clone)]
pub struct Decoders(Names);

impl Decoders {
    /// Those of a namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self(Names::new(namespace))
    }

    /// The ticket that a message is, or the reason of its dead letter; `None` where it is left to a newer host.
    pub fn ticket(&self, wire: &Wire<'_>) -> Option<Result<(Ticket, Fingerprint), String>> {
        match tickets::read(&self.0, &wire.message()) {
            Ok(read) => Some(Ok(read)),
            Err(Unread::Newer(_)) => None,
            Err(Unread::Never(letter)) => {
                buried(&letter);
                Some(Err(letter.reason))
            }
        }
    }

    /// The start that a message is; `None` where no consumer delivered it.
    pub fn start(&self, wire: &Wire<'_>) -> Option<StartRequest> {
        let message = wire.message();
        let origin = Origin::parse(wire.reply)?;
        let workflow = self.0.workflow_of_start(wire.subject)?.to_owned();
        buried(&dead_letters::letter_of(&message, &workflow, format!("start-{}", origin.sequence)));
        Some(starts::request(message, &origin, &workflow))
    }

    /// The start that a request asks for, or the code and the sentence of its refusal.
    ///
    /// # Errors
    /// The code and the sentence.
    pub fn start_request(&self, wire: &Wire<'_>) -> Result<(StartRequest, Option<Duration>), (u16, String)> {
        answer::start(&self.0, &wire.message()).map_err(|error| (error.code, error.message))
    }

    /// The workflow and the run that a request names, whichever verb it has.
    pub fn asked_for(&self, wire: &Wire<'_>) -> Option<[String; 2]> {
        let message = wire.message();
        let control = [Control::Cancel, Control::Pause, Control::Resume].map(Ask::Control);
        let words = control.into_iter().chain([Ask::Status]).find_map(|ask| {
            let words: Result<[&str; 2], _> = answer::words(&self.0, ask, &message);
            words.ok()
        });
        words.map(|words| words.map(ToOwned::to_owned))
    }

    /// Every reading of a subject; how many understood it. What is understood is built again from its parts, which has to
    /// give the same.
    ///
    /// # Panics
    /// Where it does not.
    pub fn subject(&self, subject: &str) -> usize {
        let names = &self.0;
        let mut understood = 0;
        if let Some(workflow) = names.workflow_of_start(subject) {
            assert_eq!(names.start(workflow), subject, "a start");
            understood += 1;
        }
        if let Some(tokens) = names.ticket_tokens(subject) {
            assert!(subject.ends_with(tokens.item), "a ticket");
            assert_eq!(names.item_of_ticket(subject), ItemId::new(tokens.item).ok(), "an item");
            understood += 1;
        }
        if let Some(run) = names.run_of_snapshot(subject) {
            assert_eq!(names.snapshot(&run), subject, "a snapshot");
            let chunk = ChunkRef { commit: CommitId::default(), number: 0, bytes: 0 };
            assert_eq!(names.run_of_snapshot(&names.chunk_part(&run, chunk, 0)), None, "a part of a chunk");
            understood += 1;
        }
        if let Some(origin) = Origin::parse(subject) {
            assert!(origin.published_millis() <= origin.published, "an origin");
            understood += 1;
        }
        let mut words = subject.split('.');
        let (one, other) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let dead = names.dead(one, other);
        assert_eq!(dead.split('.').count(), 5, "{dead} is no subject of a dead letter");
        if let (Ok(workflow), Ok(run_id)) = (WorkflowName::new(one), RunId::new(other)) {
            let run = RunKey::new(workflow, run_id);
            assert_eq!(names.run_of_snapshot(&names.snapshot(&run)), Some(run), "a run");
            understood += 1;
        }
        understood
    }
}

/// The runs that a request asks for.
///
/// # Errors
/// The code and the sentence.
pub fn runs_query(wire: &Wire<'_>) -> Result<RunsQuery, (u16, String)> {
    answer::query(&wire.message()).map_err(|error| (error.code, error.message))
}

/// What a host answered.
///
/// # Errors
/// The code and the sentence.
pub fn answer(wire: &Wire<'_>) -> Result<Value, (u16, String)> {
    requests::read(&wire.message()).map_err(|error| (error.code, error.message))
}

/// Whether a message of a pull is taken for a word of the server.
pub fn is_status(wire: &Wire<'_>) -> bool {
    Status::of(&wire.message()).is_some()
}

/// Where each part of a chunk begins and ends.
pub fn parts(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    chunks::parts(bytes)
}

/// A dead letter gives no order to the server, whatever headers its message had.
fn buried(letter: &DeadLetter) {
    let headers = dead_letters::letter_headers(
        &letter.why,
        &letter.reason,
        &letter.subject,
        &letter.id,
        letter.headers.clone(),
    );
    let orders = headers.iter().map(|(name, _)| name.to_string()).filter(|name| {
        name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) && name != "Nats-Msg-Id"
    });
    assert_eq!(orders.collect::<Vec<_>>(), [""; 0], "a dead letter that gives orders");
}
