//! The format of start messages.

use crate::{
    headers::{header, insert_text, insert_trace, trace_of},
    names,
    pull::DeliveryInfo,
};
use async_nats::{HeaderMap, Message, header::NATS_MESSAGE_ID};
use jetway_engine::backend::StartRequest;
use jetway_state::{
    Timestamp,
    codec::Encoding,
    run::{RunDeadline, StartTime},
};

/// The headers of a start message.
pub(crate) fn headers(request: &StartRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let encoding = match request.encoding {
        Encoding::Json => names::JSON,
        Encoding::Cbor => names::CBOR,
    };
    headers.insert(names::CONTENT_TYPE, encoding);
    if request.run_id.is_empty() {
        // Without a run id, a second message is a second run. The id lets the server drop a message that is sent again.
        headers.insert(NATS_MESSAGE_ID, format!("{:032x}", rand::random::<u128>()));
    } else {
        insert_text(&mut headers, names::RUN_ID, Some(&request.run_id));
    }
    insert_text(&mut headers, names::START_AT, request.start_time.header().as_deref());
    insert_text(&mut headers, names::DEADLINE, request.deadline.header().as_deref());
    insert_trace(&mut headers, &request.trace);
    headers
}

/// Parses a start message.
pub(crate) fn request_of(message: Message, delivery: &DeliveryInfo, workflow: &str) -> StartRequest {
    let run_id = match header(&message, names::RUN_ID) {
        Some(run_id) => run_id.trim().to_owned(),
        None => derived_run_id(delivery),
    };
    StartRequest {
        workflow: workflow.to_owned(),
        run_id,
        encoding: encoding_of(header(&message, names::CONTENT_TYPE)),
        // The same for each delivery.
        start_time: start_time_of(&message, Timestamp(delivery.published.div_ceil(1_000_000))),
        deadline: deadline_of(&message),
        trace: trace_of(message.headers.as_ref()),
        input: message.payload,
    }
}

/// The encoding of an input, by its `Content-Type`.
pub(crate) fn encoding_of(content_type: Option<&str>) -> Encoding {
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    if media_type.trim().eq_ignore_ascii_case(names::CBOR) { Encoding::Cbor } else { Encoding::Json }
}

/// When a run starts that was asked for at `sent`, by the header of its message.
pub(crate) fn start_time_of(message: &Message, sent: Timestamp) -> StartTime {
    header(message, names::START_AT).map_or(StartTime::Now, |text| StartTime::parse(text, sent))
}

/// How long a run may take, by the header of its message.
pub(crate) fn deadline_of(message: &Message) -> RunDeadline {
    header(message, names::DEADLINE).map_or(RunDeadline::OfWorkflow, RunDeadline::parse)
}

/// The run id of a start message without one. It contains the message's sequence, so that a redelivery is the same run, and
/// its time, because a stream that is created again starts with sequence 1.
fn derived_run_id(delivery: &DeliveryInfo) -> String {
    format!("s{}-{}", delivery.sequence, base36(delivery.published))
}

fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::with_capacity(13);
    loop {
        digits.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::RunId;

    #[test]
    fn numbers_in_base_36() {
        for (number, text) in [(0, "0"), (35, "z"), (36, "10"), (u64::MAX, "3w5e11264sgsf")] {
            assert_eq!(base36(number), text);
        }
    }

    #[test]
    fn a_derived_run_id_is_valid_and_stable() {
        let first = DeliveryInfo { delivered: 1, sequence: u64::MAX, published: u64::MAX };
        let second = DeliveryInfo { delivered: 2, ..first };
        assert_eq!(derived_run_id(&first), derived_run_id(&second));
        assert!(RunId::new(&derived_run_id(&first)).is_ok());
    }

    #[test]
    fn json_is_the_default_encoding() {
        assert_eq!(encoding_of(None), Encoding::Json);
        assert_eq!(encoding_of(Some("text/plain")), Encoding::Json);
        assert_eq!(encoding_of(Some("Application/CBOR; a=b")), Encoding::Cbor);
    }

    #[test]
    fn a_start_without_a_run_id_has_a_message_id() {
        let request = StartRequest::default();
        assert!(headers(&request).get(NATS_MESSAGE_ID).is_some());
        let with_run_id = headers(&StartRequest { run_id: "a".to_owned(), ..request });
        assert!(with_run_id.get(NATS_MESSAGE_ID).is_none());
        assert_eq!(with_run_id.get(names::RUN_ID).map(|id| id.as_str()), Some("a"));
    }
}
