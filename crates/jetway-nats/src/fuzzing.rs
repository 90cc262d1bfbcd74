//! Parsing of bytes from the wire, without a server: for the fuzz targets. Only with the feature `test-hooks`; not part of
//! the public API.

use crate::{
    backend::{
        signals, start_message,
        tickets::{self, TicketError},
    },
    blob, dead_letters,
    names::{ApiMethod, Names},
    pull::{DeliveryInfo, Status},
    read_start::letter_id,
    service::{answer, client},
};
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message, StatusCode};
use bytes::Bytes;
use jetway_engine::{
    Control,
    api::SignalRequest,
    backend::{DeadLetter, RunsQuery, StartRequest, StoredSignal, Ticket},
};
use jetway_state::{
    CommitId, Fingerprint, Incarnation, ItemId, Namespace, RunId, RunKey, StoreId, Timestamp, WorkflowName,
    run::ChunkRef, view::OutputQuery,
};
use serde_json::Value;
use std::{ops::Range, time::Duration};

/// A message as it is on the wire.
#[derive(Debug, Clone, Default)]
pub struct Wire<'a> {
    /// The status after `NATS/1.0` in the headers.
    pub status: Option<u16>,
    /// Its subject.
    pub subject: &'a str,
    /// Its reply subject. Empty if it has none.
    pub reply: &'a str,
    /// Its headers, without those that the client library refuses.
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

/// The parsers of one namespace.
#[derive(Debug, Clone)]
pub struct Decoders(Names);

impl Decoders {
    /// The parsers of a namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self(Names::new(namespace))
    }

    /// Decodes a ticket. An error is the reason of its dead letter. `None` if a newer version wrote it.
    pub fn ticket(&self, wire: &Wire<'_>) -> Option<Result<(Ticket, Fingerprint), String>> {
        match tickets::decode(&self.0, &wire.message()) {
            Ok(read) => Some(Ok(read)),
            Err(TicketError::NewerVersion(_)) => None,
            Err(TicketError::Undecodable(letter)) => {
                check_dead_letter(&letter);
                Some(Err(letter.reason))
            }
        }
    }

    /// Parses a start message. `None` if no consumer delivered it.
    pub fn start(&self, wire: &Wire<'_>) -> Option<StartRequest> {
        let message = wire.message();
        let delivery = DeliveryInfo::parse(wire.reply)?;
        let workflow = self.0.workflow_of_start(wire.subject)?.to_owned();
        let id = letter_id(delivery.sequence, delivery.published);
        check_dead_letter(&dead_letters::dead_letter_of(&message, &workflow, id));
        Some(start_message::request_of(message, &delivery, &workflow))
    }

    /// Parses a request for a start.
    ///
    /// # Errors
    /// The code and the sentence.
    pub fn start_request(&self, wire: &Wire<'_>) -> Result<(StartRequest, Option<Duration>), (u16, String)> {
        answer::parse_start(&self.0, &wire.message(), Timestamp(0))
            .map_err(|error| (error.code, error.message))
    }

    /// Parses a signal. An error is the reason of its dead letter. `None` if no consumer delivered it.
    pub fn signal(&self, wire: &Wire<'_>) -> Option<Result<StoredSignal, String>> {
        let (message, delivery) = (wire.message(), DeliveryInfo::parse(wire.reply)?);
        let stored = signals::StoredMessage::delivered(&message, delivery.sequence, delivery.published);
        check_dead_letter(&dead_letters::dead_letter_of(&message, "", String::new()));
        let read = signals::decode(&self.0, &stored, StoreId::default());
        Some(read.map_err(|error| error.to_string()))
    }

    /// Parses a request with a signal.
    ///
    /// # Errors
    /// The code and the sentence.
    pub fn signal_request(&self, wire: &Wire<'_>) -> Result<SignalRequest, (u16, String)> {
        answer::parse_signal(&self.0, &wire.message()).map_err(|error| (error.code, error.message))
    }

    /// The workflow and the run id of a request with any verb.
    pub fn requested_run(&self, wire: &Wire<'_>) -> Option<[String; 2]> {
        let message = wire.message();
        let control =
            [Control::Cancel, Control::Terminate, Control::Pause, Control::Resume].map(ApiMethod::Control);
        let tokens = control.into_iter().chain([ApiMethod::Status, ApiMethod::Output]).find_map(|method| {
            let tokens: Result<[&str; 2], _> = answer::parse_tokens(&self.0, method, &message);
            tokens.ok()
        });
        tokens.map(|tokens| tokens.map(ToOwned::to_owned))
    }

    /// Parses a subject in every way, and returns how many succeeded. The subject is built again from the parsed parts.
    ///
    /// # Panics
    /// The result differs from the subject.
    pub fn subject(&self, subject: &str) -> usize {
        let names = &self.0;
        let mut parsed = 0;
        if let Some(workflow) = names.workflow_of_start(subject) {
            assert_eq!(names.start(workflow), subject, "a start");
            parsed += 1;
        }
        if let Some(tokens) = names.ticket_tokens(subject) {
            assert!(subject.ends_with(tokens.activation), "a ticket");
            assert_eq!(names.item_of_ticket(subject, None), ItemId::new(tokens.item).ok(), "an item");
            parsed += 1;
        }
        if let Some((run, due)) = names.timer_tokens(subject) {
            assert_eq!(names.timer_of(run, due), subject, "an alarm");
            parsed += 1;
        }
        if let Some((run, due)) = names.wake_tokens(subject) {
            assert_eq!(names.wake(run, due), subject, "a wake-up");
            parsed += 1;
        }
        if let Some(signal) = names.put_off_tokens(subject) {
            assert_eq!(names.put_off(signal), subject, "a signal that is put off");
            let again = names.signal_again(signal);
            let sent_at = names.signal_tokens(&again).and_then(|tokens| tokens.sent_at);
            assert_eq!(sent_at, Some(signal.sent_at), "a signal that comes again");
            parsed += 1;
        }
        if let Some(tokens) = names.signal_tokens(subject) {
            assert_eq!(names.workflow_of_signal(subject), Some(tokens.workflow), "a signal");
            parsed += 1;
        }
        if let Some((workflow, sequence)) = names.signal_wake_tokens(subject) {
            assert_eq!(names.signal_wake(workflow, sequence), subject, "a wake-up of a signal");
            assert_eq!(names.wake_tokens(subject), None, "a wake-up of a signal is one of a run");
            parsed += 1;
        }
        if let Some(run) = names.run_of_snapshot(subject) {
            assert_eq!(names.snapshot(&run), subject, "a snapshot");
            let chunk = ChunkRef { commit: CommitId::default(), number: 0, bytes: 0 };
            assert_eq!(
                names.run_of_snapshot(&names.chunk_part(&run, Incarnation::default(), chunk, 0)),
                None,
                "a part of a chunk"
            );
            parsed += 1;
        }
        if let Some(delivery) = DeliveryInfo::parse(subject) {
            assert!(delivery.published_millis() <= delivery.published, "a delivery");
            parsed += 1;
        }
        let mut tokens = subject.split('.');
        let (one, other) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
        let dead = names.dead(one, other);
        assert_eq!(dead.split('.').count(), 5, "{dead} is not the subject of a dead letter");
        if let (Ok(workflow), Ok(run_id)) = (WorkflowName::new(one), RunId::new(other)) {
            let run = RunKey::new(workflow, run_id);
            assert_eq!(names.run_of_snapshot(&names.snapshot(&run)), Some(run), "a run");
            parsed += 1;
        }
        parsed
    }
}

/// Parses a request for a page of runs.
///
/// # Errors
/// The code and the sentence.
pub fn runs_query(wire: &Wire<'_>) -> Result<RunsQuery, (u16, String)> {
    answer::parse_query(&wire.message(), "runs").map_err(|error| (error.code, error.message))
}

/// Parses a request for a page of an output.
///
/// # Errors
/// The code and the sentence.
pub fn output_query(wire: &Wire<'_>) -> Result<OutputQuery, (u16, String)> {
    answer::parse_query(&wire.message(), "an output").map_err(|error| (error.code, error.message))
}

/// Parses the answer of a host.
///
/// # Errors
/// The code and the sentence.
pub fn answer(wire: &Wire<'_>) -> Result<Value, (u16, String)> {
    client::parse_answer::<Value>(&wire.message()).map_err(|error| (error.code, error.message))
}

/// Whether a message of a pull is a status message of the server.
pub fn is_status(wire: &Wire<'_>) -> bool {
    Status::of(&wire.message()).is_some()
}

/// The range of each part of a blob.
pub fn parts(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    blob::part_ranges(bytes)
}

/// Checks that the server would not act on the headers of a dead letter, whatever headers its message had.
fn check_dead_letter(letter: &DeadLetter) {
    let headers = dead_letters::letter_headers(
        &letter.why,
        &letter.reason,
        &letter.subject,
        &letter.id,
        letter.headers.clone(),
    );
    let acted_on = headers.iter().map(|(name, _)| name.to_string()).filter(|name| {
        name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) && name != "Nats-Msg-Id"
    });
    assert_eq!(acted_on.collect::<Vec<_>>(), [""; 0], "headers of a dead letter that the server acts on");
}
