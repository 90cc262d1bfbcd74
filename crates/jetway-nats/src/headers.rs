//! Reading headers, and writing text from clients into them.

use crate::names::{INCARNATION, TRACE_PARENT, TRACE_STATE};
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
    let text = |name| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str().to_owned());
    TraceHeaders { parent: text(TRACE_PARENT), state: text(TRACE_STATE) }.bounded()
}

/// The incarnation that a snapshot or a result carries.
pub(crate) fn incarnation_of(headers: &HeaderMap) -> Option<Incarnation> {
    headers.get(INCARNATION)?.as_str().parse().ok()
}

/// The first value of a header of a message.
pub(crate) fn header(message: &Message, name: impl IntoHeaderName) -> Option<&str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
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
