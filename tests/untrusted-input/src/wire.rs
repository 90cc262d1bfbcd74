//! Messages as anybody may publish them: their subjects, headers and payloads.
//!
//! A message is written as `[<status> ]<subject>[ <reply>]`, lines of `name: value`, an empty line, and the payload.

use jetway_engine::backend::{HostInfo, Ticket};
use jetway_nats::fuzzing::{self, Decoders, Wire};
use jetway_state::{Namespace, codec, trace::trace_of};

fn decoders() -> Decoders {
    Decoders::new(Namespace::default())
}

/// Any bytes as a message.
fn message(bytes: &[u8]) -> Wire<'_> {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, payload) = split.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + 2..]));
    // As the client library does, which closes the connection over anything else.
    let valid = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut lines = valid.split('\n');
    let mut words = lines.next().unwrap_or_default().split(' ').peekable();
    let status = words.next_if(|word| word.len() == 3).and_then(|word| word.parse().ok());
    let (subject, reply) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()));
    Wire { status, subject, reply, headers: headers.collect(), payload }
}

/// A ticket, or what somebody forged to be one.
pub(crate) fn tickets(bytes: &[u8]) -> bool {
    let wire = message(bytes);
    let read = decoders().ticket(&wire);
    if let Some(Ok((ticket, fingerprint))) = &read {
        let sealed = codec::seal(ticket, *fingerprint, "a ticket").expect("what was read can be written");
        let again = codec::open::<Ticket>(&sealed, "a ticket").expect("what was written can be read");
        assert_eq!((&again.0, again.1), (ticket, *fingerprint));
        assert!(!ticket.run().to_string().is_empty());
    }
    matches!(read, Some(Ok(_)))
}

/// The headers that a stranger may set: those of starts, of traces, and those that are orders to the server.
pub(crate) fn headers(bytes: &[u8]) -> bool {
    let wire = message(bytes);
    if !wire.reply.starts_with("$JS.ACK.") {
        let _: bool = fuzzing::is_status(&wire);
    }
    if let Some(Ok(signal)) = decoders().signal(&wire) {
        assert!(signal.id.is_none_or(|id| !id.trim().is_empty()));
        return true;
    }
    let Some(start) = decoders().start(&wire) else { return false };
    assert!(
        !fuzzing::is_status(&wire),
        "a message that a consumer delivered is taken for a word of the server"
    );
    let trace = trace_of(&start.trace, 7, 8);
    assert!(trace.trace_id != 0 && trace.span_id != 0);
    let again = trace_of(&trace.headers(), 9, 10);
    assert_eq!(
        (again.trace_id, again.parent_id, again.flags),
        (trace.trace_id, Some(trace.span_id), trace.flags)
    );
    true
}

/// Subjects, and the words that they are built from.
pub(crate) fn subjects(bytes: &[u8]) -> bool {
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    decoders().subject(valid) > 0
}

/// What the service hears and answers, and what hosts say of themselves.
pub(crate) fn requests(bytes: &[u8]) -> bool {
    let wire = message(bytes);
    let start = decoders().start_request(&wire);
    if let Err((code, sentence)) = &start {
        assert!(*code == 400 && !sentence.is_empty());
    }
    let signal = decoders().signal_request(&wire);
    if let Err((code, sentence)) = &signal {
        assert!(*code == 400 && !sentence.is_empty());
    }
    let query = fuzzing::runs_query(&wire);
    if let Ok(query) = &query {
        let written = serde_json::to_vec(query).expect("what was read can be written");
        let again = fuzzing::runs_query(&Wire { payload: &written, ..Wire::default() });
        assert_eq!(again.as_ref(), Ok(query));
    }
    if let Err((_, sentence)) = fuzzing::answer(&wire) {
        assert!(!sentence.is_empty() || !wire.headers.is_empty());
    }
    let host: Result<HostInfo, _> = serde_json::from_slice(wire.payload);
    let page = fuzzing::output_query(&wire);
    if let Ok(page) = &page {
        let written = serde_json::to_vec(page).expect("what was read can be written");
        assert_eq!(fuzzing::output_query(&Wire { payload: &written, ..Wire::default() }).as_ref(), Ok(page));
    }
    start.is_ok()
        || signal.is_ok()
        || page.is_ok()
        || decoders().requested_run(&wire).is_some()
        || query.is_ok()
        || host.is_ok()
}
