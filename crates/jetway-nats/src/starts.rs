//! Start messages: published by any client, each made into a run by one coordinator.

use crate::{
    backend::NatsBackend,
    dead_letters::{headers_of, letter_of},
    jsapi,
    names::{self, Names, token},
    pull::{Held, Source, reply::Origin},
    write::{Body, Write, insert, insert_trace, trace_of},
};
use async_nats::{HeaderMap, Message, header::NATS_MESSAGE_ID};
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jetway_engine::backend::{BackendError, DeadLetter, StartDelivery, StartRequest, Starts};
use jetway_state::{Timestamp, WorkflowName, codec::Encoding};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The reason of a dead letter that holds a start of a workflow that nobody knows.
const UNKNOWN: &str = "unknown-workflow";

#[async_trait]
impl Starts for NatsBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<(), BackendError> {
        let workflow = token("the workflow name", &request.workflow)?;
        let write = Write {
            subject: self.names.start(workflow).into(),
            payload: request.input.clone(),
            body: Body::Always(headers(request)),
        };
        let stored = self.committers.starts.write(write).await;
        stored.map(drop).map_err(|error| error.of(format!("the start of run {workflow}/{}", request.run_id)))
    }

    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError> {
        let source = Source {
            stream: self.streams.starts.clone(),
            consumer: Names::start_consumer(workflow.as_str()),
            filter: self.names.start(workflow.as_str()),
            workflow: workflow.to_string(),
        };
        let pull = self.pull(source, slots).await?;
        let workflow = workflow.to_string();
        Ok(stream::unfold((pull, workflow), |(mut pull, workflow)| async move {
            let held = pull.next().await?;
            Some((held.map(|held| delivery(held, &workflow)), (pull, workflow)))
        })
        .boxed())
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        let unable = |failure: crate::error::Failure| failure.cannot("look for starts of unknown workflows");
        let stream = &self.streams.starts;
        let filter = self.names.stream_subjects(names::Stream::Starts);
        let waiting = jsapi::subjects(&self.link, stream, &filter).await.map_err(unable)?;
        if waiting.is_empty() {
            return Ok(0);
        }
        // A workflow that any host has ever served has its consumer.
        let served: BTreeSet<String> =
            jsapi::consumer_names(&self.link, stream).await.map_err(unable)?.into_iter().collect();
        let mut expelled = 0;
        for subject in waiting.keys() {
            let workflow = self.names.workflow_of_start(subject).unwrap_or_default();
            if !served.contains(&Names::start_consumer(workflow)) {
                expelled += self.expel(subject, workflow, grace).await?;
            }
        }
        Ok(expelled)
    }
}

impl NatsBackend {
    /// Moves the messages of a subject that are older than `grace` to the dead letters.
    async fn expel(&self, subject: &str, workflow: &str, grace: Duration) -> Result<u64, BackendError> {
        let unable =
            |failure: crate::error::Failure| failure.cannot(format!("expel starts of workflow {workflow}"));
        let stream = &self.streams.starts;
        let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let end = Timestamp(jetway_core::clock::now().0.saturating_sub(grace_millis));
        let end = crate::direct::point(end).map_err(unable)?;
        let (mut expelled, mut from) = (0, 1);
        let next = async |from| jsapi::next_any(&self.link, stream, subject, from).await.map_err(unable);
        while let Some(jsapi::Any { message, unreadable }) = next(from).await? {
            if message.time > end {
                break;
            }
            let reason = format!(
                "no host has ever served a workflow named {workflow:?}: check the name, or start a host that serves it"
            );
            let mut headers = headers_of(Some(&message.headers));
            headers.extend(unreadable.map(|headers| (names::ORIGINAL_HEADERS.to_string(), headers)));
            self.dead
                .keep(DeadLetter {
                    workflow: workflow.to_owned(),
                    why: UNKNOWN.to_owned(),
                    reason,
                    subject: subject.to_owned(),
                    headers,
                    payload: message.payload,
                    id: format!("start-{}", message.sequence),
                })
                .await?;
            jsapi::delete_message(&self.link, stream, message.sequence).await.map_err(unable)?;
            from = message.sequence + 1;
            expelled += 1;
        }
        Ok(expelled)
    }
}

pub(crate) fn headers(request: &StartRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let encoding = match request.encoding {
        Encoding::Json => names::JSON,
        Encoding::Cbor => names::CBOR,
    };
    headers.insert(names::CONTENT_TYPE, encoding);
    if request.run_id.is_empty() {
        // Without a run id a second message would be a second run, so one that is sent again must be told from it.
        headers.insert(NATS_MESSAGE_ID, format!("{:032x}", rand::random::<u128>()));
    } else {
        insert(&mut headers, names::RUN_ID, Some(&request.run_id));
    }
    insert_trace(&mut headers, &request.trace);
    headers
}

fn delivery(held: Held, workflow: &str) -> StartDelivery {
    let Held { message, origin, lease, slot } = held;
    let id = format!("start-{}", origin.sequence);
    let original = letter_of(&message, workflow, id);
    StartDelivery { request: request(message, &origin, workflow), lease, slot, original }
}

/// The start that a message is.
pub(crate) fn request(message: Message, origin: &Origin, workflow: &str) -> StartRequest {
    let headers = message.headers.as_ref();
    let word = |name| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
    let run_id = match word(names::RUN_ID) {
        Some(run_id) => run_id.trim().to_owned(),
        None => derived(origin),
    };
    StartRequest {
        workflow: workflow.to_owned(),
        run_id,
        encoding: encoding(word(names::CONTENT_TYPE)),
        trace: trace_of(headers),
        input: message.payload,
    }
}

/// How an input is encoded, by its `Content-Type`.
pub(crate) fn encoding(content_type: Option<&str>) -> Encoding {
    let kind = content_type.and_then(|words| words.split(';').next()).unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case(names::CBOR) { Encoding::Cbor } else { Encoding::Json }
}

/// The run id of a start that names none: by the message's place in the stream, so that a redelivery is the same run,
/// and by its time, since a stream that is created anew counts from 1 again.
fn derived(origin: &Origin) -> String {
    format!("s{}-{}", origin.sequence, base36(origin.published))
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
    fn base36_is_what_others_call_it() {
        for (number, text) in [(0, "0"), (35, "z"), (36, "10"), (u64::MAX, "3w5e11264sgsf")] {
            assert_eq!(base36(number), text);
        }
    }

    #[test]
    fn a_derived_run_id_is_a_run_id_and_repeats() {
        let origin = Origin { delivered: 1, sequence: u64::MAX, published: u64::MAX };
        let again = Origin { delivered: 2, ..origin };
        assert_eq!(derived(&origin), derived(&again));
        assert!(RunId::new(&derived(&origin)).is_ok());
    }

    #[test]
    fn json_is_taken_for_granted() {
        assert_eq!(encoding(None), Encoding::Json);
        assert_eq!(encoding(Some("text/plain")), Encoding::Json);
        assert_eq!(encoding(Some("Application/CBOR; a=b")), Encoding::Cbor);
    }

    #[test]
    fn a_start_without_a_run_id_can_be_sent_again() {
        let request = StartRequest::default();
        assert!(headers(&request).get(NATS_MESSAGE_ID).is_some());
        let named = headers(&StartRequest { run_id: "a".to_owned(), ..request });
        assert!(named.get(NATS_MESSAGE_ID).is_none());
        assert_eq!(named.get(names::RUN_ID).map(|id| id.as_str()), Some("a"));
    }
}
