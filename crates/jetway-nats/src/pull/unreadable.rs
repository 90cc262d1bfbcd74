//! Messages over whose headers the client library closes the connection.
//!
//! The server takes any bytes as headers, and the library ends a connection on which it meets some that it cannot read.
//! Such a message would come again after its lease, for ever, and take the connection with it each time. So whenever a
//! connection was lost, a pull has a look at what had been delivered by then and is still there: through the JetStream
//! API, whose answers carry headers as text. What cannot be read goes to the dead letters.

use super::Source;
use crate::{
    dead_letters::DeadLetters,
    error::Failure,
    jsapi::{self, Any},
    link::Link,
    names::ORIGINAL_HEADERS,
};
use jetway_engine::backend::{BackendError, DeadLetter};

/// The reason of a dead letter that holds such a message's bytes.
const UNREADABLE: &str = "unreadable-headers";
/// How many messages are looked at after one loss of the connection: more than a consumer hands out at once.
const LOOKED_AT: usize = 10_000;

/// Moves the messages of a consumer that were delivered and cannot be read to the dead letters. Returns how many there
/// were.
pub(super) async fn bury(link: &Link, source: &Source, dead: &DeadLetters) -> Result<u64, BackendError> {
    let Source { stream, consumer, filter, workflow } = source;
    let unable =
        |failure: Failure| failure.cannot(format!("look for messages of {stream} with unreadable headers"));
    let info = jsapi::consumer_info(link, stream, consumer).await.map_err(unable)?;
    let (mut from, last) = (info.ack_floor.stream_seq + 1, info.delivered.stream_seq);
    let mut buried = 0;
    for _ in 0..LOOKED_AT {
        let found = jsapi::next_any(link, stream, filter, from).await.map_err(unable)?;
        let Some(Any { message, unreadable }) = found.filter(|any| any.message.sequence <= last) else {
            break;
        };
        from = message.sequence + 1;
        let Some(headers) = unreadable else { continue };
        let letter = DeadLetter {
            workflow: workflow.clone(),
            why: UNREADABLE.to_owned(),
            reason: "its headers are not headers of NATS: no host can take it".to_owned(),
            subject: message.subject.to_string(),
            headers: vec![(ORIGINAL_HEADERS.to_string(), headers)],
            payload: message.payload,
            id: format!("{stream}-{}", message.sequence),
        };
        dead.keep(letter).await?;
        jsapi::delete_message(link, stream, message.sequence).await.map_err(unable)?;
        buried += 1;
    }
    Ok(buried)
}
