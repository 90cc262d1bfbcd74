//! The format of signals.

use crate::{
    headers::{first, insert_text},
    names::{self, Names, PutOffTokens, SignalTokens},
};
use async_nats::{HeaderMap, Message, header::NATS_MESSAGE_ID, jetstream::message::StreamMessage};
use bytes::Bytes;
use jetway_engine::backend::StoredSignal;
use jetway_state::{
    BadIncarnation, BadName, Incarnation, RunId, RunKey, SignalName, StoreId, Timestamp, WorkflowName,
    run::SignalPlace,
};

/// A message of the stream of signals.
#[derive(Debug)]
pub(crate) struct StoredMessage<'a> {
    pub(crate) subject: &'a str,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) payload: &'a Bytes,
    pub(crate) sequence: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(crate) published: u64,
}

/// Why a message is no signal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSignal {
    /// Its subject has other tokens.
    #[error(
        "the subject of a signal is jetway.<namespace>.signal.<workflow>.<run>.<name>, and this one is {0:?}"
    )]
    Subject(String),
    /// A token of its subject is no name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A header has no incarnation.
    #[error("the header {name}: {0}", name = names::INCARNATION)]
    Incarnation(#[from] BadIncarnation),
}

impl<'a> StoredMessage<'a> {
    /// A message that was read.
    pub(crate) fn of(message: &'a StreamMessage) -> Self {
        Self {
            subject: &message.subject,
            headers: Some(&message.headers),
            payload: &message.payload,
            sequence: message.sequence,
            published: u64::try_from(message.time.unix_timestamp_nanos()).unwrap_or(0),
        }
    }

    /// A message that was delivered.
    pub(crate) fn delivered(message: &'a Message, sequence: u64, published: u64) -> Self {
        let (subject, headers) = (message.subject.as_str(), message.headers.as_ref());
        Self { subject, headers, payload: &message.payload, sequence, published }
    }
}

/// The headers of a signal.
pub(crate) fn headers(
    id: Option<&str>,
    incarnation: Option<Incarnation>,
    content_type: Option<&str>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Not `Nats-Msg-Id`, which is unique in the whole stream: another run may get a signal with the same id.
    insert_text(&mut headers, names::SIGNAL_ID, id);
    insert_text(&mut headers, names::INCARNATION, incarnation.map(|of| of.to_string()).as_deref());
    insert_text(&mut headers, names::CONTENT_TYPE, content_type);
    headers
}

/// The id that the sender of a signal has chosen.
pub(crate) fn chosen_id(headers: Option<&HeaderMap>) -> Option<&str> {
    let id = |name| first(headers?, name).map(str::trim).filter(|id| !id.is_empty());
    id(&names::SIGNAL_ID).or_else(|| id(&NATS_MESSAGE_ID))
}

/// The incarnation that a signal is for.
pub(crate) fn incarnation_for(headers: Option<&HeaderMap>) -> Result<Option<Incarnation>, BadIncarnation> {
    let text = headers.and_then(|headers| first(headers, &names::INCARNATION));
    text.map(|text| text.trim().parse()).transpose()
}

/// The media type of a payload.
pub(crate) fn content_type_of(headers: Option<&HeaderMap>) -> Option<&str> {
    first(headers?, &names::CONTENT_TYPE)
}

/// Parses a signal of this store.
pub(crate) fn decode(
    names: &Names,
    message: &StoredMessage<'_>,
    store: StoreId,
) -> Result<StoredSignal, BadSignal> {
    let subject = message.subject;
    let tokens = names.signal_tokens(subject).ok_or_else(|| BadSignal::Subject(subject.to_owned()))?;
    let place = if tokens.sent_at.is_some() { SignalPlace::Again } else { SignalPlace::First };
    signal_of(tokens, place, message, store)
}

/// Parses a signal of this store that is put off.
pub(super) fn decode_put_off(
    names: &Names,
    message: &StoredMessage<'_>,
    store: StoreId,
) -> Result<StoredSignal, BadSignal> {
    let subject = message.subject;
    let tokens = names.put_off_tokens(subject).ok_or_else(|| BadSignal::Subject(subject.to_owned()))?;
    let PutOffTokens { workflow, run_id, name, sent_at, .. } = tokens;
    let tokens = SignalTokens { workflow, run_id, name, sent_at: Some(sent_at) };
    signal_of(tokens, SignalPlace::Later, message, store)
}

fn signal_of(
    tokens: SignalTokens<'_>,
    place: SignalPlace,
    message: &StoredMessage<'_>,
    store: StoreId,
) -> Result<StoredSignal, BadSignal> {
    let StoredMessage { headers, payload, sequence, published, .. } = *message;
    let published = Timestamp(published / 1_000_000);
    let run = RunKey::new(WorkflowName::new(tokens.workflow)?, RunId::new(tokens.run_id)?);
    let name = SignalName::new(tokens.name)?;
    Ok(StoredSignal {
        run,
        name: name.to_string(),
        id: chosen_id(headers).map(ToOwned::to_owned),
        incarnation: incarnation_for(headers)?,
        content_type: content_type_of(headers).map(ToOwned::to_owned),
        payload: payload.clone(),
        sequence,
        place,
        store,
        // Nothing was sent after it was stored, whatever its subject says.
        sent_at: tokens.sent_at.map_or(published, |sent_at| sent_at.min(published)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::Namespace;

    const SENT: u64 = 1_790_230_470_084_404_000;

    fn read(subject: &str, list: &[(&str, &str)]) -> Result<StoredSignal, BadSignal> {
        let names = Names::new(Namespace::new("ns").unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, *value);
        }
        let payload = Bytes::from_static(b"1");
        let message = StoredMessage {
            subject,
            headers: Some(&headers),
            payload: &payload,
            sequence: 7,
            published: SENT,
        };
        decode(&names, &message, StoreId(3))
    }

    #[test]
    fn a_signal_is_read_with_its_headers_in_any_case() {
        let list = [
            ("nats-msg-ID", " a "),
            ("JETWAY-INCARNATION", "0123456789abcdef"),
            ("content-type", "application/cbor"),
        ];
        let signal = read("jetway.ns.signal.pay.order-1.approve", &list).unwrap();
        assert_eq!((signal.run.to_string().as_str(), signal.name.as_str()), ("pay/order-1", "approve"));
        assert_eq!(signal.id.as_deref(), Some("a"));
        assert_eq!(signal.incarnation, "0123456789abcdef".parse().ok());
        assert_eq!(signal.content_type.as_deref(), Some("application/cbor"));
        assert_eq!((signal.sequence, signal.store), (7, StoreId(3)));
        assert_eq!(signal.sent_at, Timestamp(SENT / 1_000_000));
        let both = [("Nats-Msg-Id", "a"), ("jetway-signal-id", "b")];
        let signal = read("jetway.ns.signal.pay.order-1.approve", &both).unwrap();
        assert_eq!(signal.id.as_deref(), Some("b"));
    }

    #[test]
    fn a_signal_need_not_have_an_id() {
        for list in [&[][..], &[("Nats-Msg-Id", " ")]] {
            let signal = read("jetway.ns.signal.pay.order-1.approve", list).unwrap();
            assert_eq!(signal.id, None);
        }
    }

    #[test]
    fn a_signal_that_comes_again_keeps_its_time() {
        let signal = read("jetway.ns.signal.pay.order-1.approve.5000", &[("Jetway-Signal-Id", "a")]).unwrap();
        assert_eq!((signal.sent_at, signal.id.as_deref()), (Timestamp(5000), Some("a")));
        assert_eq!(signal.place, SignalPlace::Again);
    }

    #[test]
    fn no_signal_was_sent_after_it_was_stored() {
        let year = SENT / 1_000_000 + 365 * 24 * 3_600_000;
        let signal = read(&format!("jetway.ns.signal.pay.order-1.approve.{year}"), &[]).unwrap();
        assert_eq!(signal.sent_at, Timestamp(SENT / 1_000_000));
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        let reason = |subject: &str, list| read(subject, list).unwrap_err().to_string();
        assert!(reason("jetway.ns.signal.pay.a.b.c", &[]).contains("the subject of a signal is"));
        assert!(reason("jetway.ns.signal.pay.a.b$", &[]).contains("invalid signal name"));
        assert!(reason("jetway.ns.signal.pay.a$.b", &[]).contains("invalid run id"));
        let incarnation = reason("jetway.ns.signal.pay.a.b", &[("Jetway-Incarnation", "x")]);
        assert!(incarnation.starts_with("the header Jetway-Incarnation: invalid"), "{incarnation}");
    }
}
