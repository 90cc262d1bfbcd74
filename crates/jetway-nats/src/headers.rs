//! Reading headers, and writing text from clients into them.

use crate::names::{INCARNATION, KV_OPERATION, RUN_ID, START_ID, TRACE_PARENT, TRACE_STATE};
use async_nats::{HeaderMap, HeaderName, Message, header::IntoHeaderName};
use jetway_state::{Incarnation, trace::TraceHeaders};

/// Adds W3C trace context.
pub(crate) fn insert_trace(headers: &mut HeaderMap, trace: &TraceHeaders) {
    let trace = trace.clone().bounded();
    insert_text(headers, TRACE_PARENT, trace.parent.as_deref());
    insert_text(headers, TRACE_STATE, trace.state.as_deref());
}

/// Adds a header whose text may come from a client: line breaks, which a header cannot hold, become spaces.
pub(crate) fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) {
    if let Some(text) = text {
        headers.insert(name, one_line(text).as_str());
    }
}

/// The text with a space in place of each control character.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Reads the W3C trace context of a message. A header that is too long is left out: a run must not depend on its trace.
pub(crate) fn trace_of(headers: Option<&HeaderMap>) -> TraceHeaders {
    let text = |name| headers.and_then(|headers| first(headers, &name)).map(ToOwned::to_owned);
    TraceHeaders { parent: text(TRACE_PARENT), state: text(TRACE_STATE) }.bounded()
}

/// The incarnation that a snapshot or a result carries.
pub(crate) fn incarnation_of(headers: &HeaderMap) -> Option<Incarnation> {
    first(headers, &INCARNATION)?.parse().ok()
}

/// The first value of a header of a message. Clients write names in any case: those in Go write `Traceparent`, those that go
/// through HTTP write `jetway-run-id`.
pub(crate) fn header(message: &Message, name: impl IntoHeaderName) -> Option<&str> {
    first(message.headers.as_ref()?, &name.into_header_name())
}

/// Whether a message is the marker of `nats kv del` or `nats kv purge`.
pub(crate) fn is_removed(headers: &HeaderMap) -> bool {
    headers.get(KV_OPERATION).is_some()
}

/// The run id that the sender of a start message has chosen.
pub(crate) fn run_id_of(headers: &HeaderMap) -> Option<&str> {
    first(headers, &RUN_ID).map(str::trim)
}

/// What the sender of a start message has chosen to know its refusal by.
pub(crate) fn chosen_start_id(headers: &HeaderMap) -> Option<&str> {
    first(headers, &START_ID)
}

/// The first value of a header in headers that cannot be parsed: as far as their lines can be told apart. Any case.
pub(crate) fn first_of_raw<'a>(raw: &'a str, name: &HeaderName) -> Option<&'a str> {
    let wanted: &str = name.as_ref();
    let lines = raw.split(['\r', '\n']).filter_map(|line| line.split_once(':'));
    let mut same = lines.filter(|(found, _)| found.trim().eq_ignore_ascii_case(wanted));
    same.next().map(|(_, value)| value.trim())
}

/// The first value of a header. The name as we write it goes before the same name in another case.
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    if let Some(value) = headers.get(name.clone()) {
        return Some(value.as_str());
    }
    let wanted: &str = name.as_ref();
    // The library keeps headers in no order. The least name is the same for every host that reads the message.
    let same = headers.iter().filter(|(found, _)| AsRef::<str>::as_ref(*found).eq_ignore_ascii_case(wanted));
    let (_, values) =
        same.min_by(|(one, _), (other, _)| AsRef::<str>::as_ref(*one).cmp(AsRef::<str>::as_ref(*other)))?;
    values.first().map(|value| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_cannot_add_a_header() {
        let mut headers = HeaderMap::new();
        let trace = TraceHeaders { parent: Some("00-a\r\nNats-Rollup: all".to_owned()), state: None };
        insert_trace(&mut headers, &trace);
        assert_eq!(headers.get(TRACE_PARENT).map(|value| value.as_str()), Some("00-a  Nats-Rollup: all"));
        assert_eq!(trace_of(Some(&headers)).state, None);
    }

    fn message(headers: HeaderMap) -> Message {
        Message {
            subject: "s".into(),
            reply: None,
            payload: bytes::Bytes::new(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn f11_names_of_headers_come_in_any_case() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (parent_name, state_name, id_name) in [
            ("traceparent", "tracestate", "Jetway-Run-Id"),
            ("Traceparent", "Tracestate", "jetway-run-id"),
            ("TRACEPARENT", "TraceState", "JETWAY-RUN-ID"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(parent_name, parent);
            headers.insert(state_name, "a=b");
            headers.insert(id_name, "r-1");
            headers.insert("jetway-INCARNATION", "0123456789abcdef");
            let trace = trace_of(Some(&headers));
            assert_eq!((trace.parent.as_deref(), trace.state.as_deref()), (Some(parent), Some("a=b")));
            assert_eq!(incarnation_of(&headers), "0123456789abcdef".parse().ok());
            assert_eq!(header(&message(headers), RUN_ID), Some("r-1"), "{id_name}");
        }
    }

    #[test]
    fn f11_the_usual_case_goes_first() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("jetway-run-id", "z"), ("JETWAY-RUN-ID", "a"), ("Jetway-run-ID", "m")] {
            headers.insert(name, value);
        }
        assert_eq!(header(&message(headers.clone()), RUN_ID), Some("a"));
        headers.insert(RUN_ID, "own");
        assert_eq!(header(&message(headers), RUN_ID), Some("own"));
    }

    #[test]
    fn u11_a_header_is_found_among_broken_ones() {
        for raw in [
            "NATS/1.0\r\na: b\rc\r\nJetway-Run-Id: r1\r\n\r\n",
            "NATS/1.0\r\njetway-run-id:r1\r\nJetway-Run-Id: r2\r\nno colon\r\n\r\n",
            "NATS/1.0\r\n: x\r\n JETWAY-RUN-ID : r1",
        ] {
            assert_eq!(first_of_raw(raw, &RUN_ID), Some("r1"), "{raw:?}");
            assert_eq!(first_of_raw(raw, &START_ID), None);
        }
    }

    #[test]
    fn h7_long_headers_are_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_PARENT, "00-a-b-01");
        headers.insert(TRACE_STATE, "a".repeat(100_000).as_str());
        let trace = trace_of(Some(&headers));
        assert_eq!((trace.parent.as_deref(), trace.state), (Some("00-a-b-01"), None));
        headers.insert(TRACE_PARENT, "0".repeat(100_000).as_str());
        assert_eq!(trace_of(Some(&headers)), TraceHeaders::default());
    }
}
