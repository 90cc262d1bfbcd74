//! Service discovery: answers `PING`, `INFO` and `STATS` of the protocol for NATS services (ADR-32), which `nats micro`
//! uses.
//!
//! The client library has such an answerer too, but it answers any subject that a request names.

use super::{
    endpoints::{Counts, OfferedEndpoint},
    replies::{Replies, ReplyTo},
};
use crate::names::{DiscoveryVerb, SERVICE, discovery_subjects};
use async_nats::{Client, HeaderMap, Message, SubscribeError};
use futures::{StreamExt as _, stream::BoxStream, stream::SelectAll};
use jetway_state::{Namespace, Timestamp};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const DESCRIPTION: &str = "Jetway: starts workflows, and reports on and controls their runs";

/// Questions about the service.
pub(super) type Questions = SelectAll<BoxStream<'static, (DiscoveryVerb, Message)>>;

/// Answers questions about the service.
#[derive(Debug)]
pub(super) struct Discovery {
    id: String,
    namespace: Namespace,
    started: Timestamp,
    endpoints: Vec<Arc<OfferedEndpoint>>,
    replies: Arc<Replies>,
}

impl Discovery {
    pub(super) fn new(
        namespace: Namespace,
        started: Timestamp,
        endpoints: Vec<Arc<OfferedEndpoint>>,
        replies: Arc<Replies>,
    ) -> Self {
        let id = format!("{:032X}", rand::random::<u128>());
        Self { id, namespace, started, endpoints, replies }
    }

    pub(super) fn endpoints(&self) -> &[Arc<OfferedEndpoint>] {
        &self.endpoints
    }

    /// Subscribes to questions to all services, to all services of this name, and to this one.
    pub(super) async fn subscribe(&self, client: &Client) -> Result<Questions, SubscribeError> {
        let mut questions = Questions::new();
        for verb in DiscoveryVerb::ALL {
            for subject in discovery_subjects(verb, &self.id) {
                let messages = client.subscribe(subject).await?;
                questions.push(messages.map(move |message| (verb, message)).boxed());
            }
        }
        Ok(questions)
    }

    /// Answers one question.
    pub(super) async fn answer(&self, verb: DiscoveryVerb, question: &Message) {
        let Some(to @ ReplyTo::Inbox(_)) = self.replies.of(question) else { return };
        let mut answer = json!({
            "type": format!("io.nats.micro.v1.{}_response", verb.name().to_ascii_lowercase()),
            "name": SERVICE,
            "id": self.id,
            "version": env!("CARGO_PKG_VERSION"),
            "metadata": { "namespace": self.namespace },
        });
        match verb {
            DiscoveryVerb::Ping => {}
            DiscoveryVerb::Info => {
                answer["description"] = DESCRIPTION.into();
                answer["endpoints"] = self.endpoints.iter().map(|endpoint| info(endpoint)).collect();
            }
            DiscoveryVerb::Stats => {
                answer["started"] = self.started.to_string().into();
                answer["endpoints"] = self.endpoints.iter().map(|endpoint| stats(endpoint)).collect();
            }
        }
        self.replies.send(&to, HeaderMap::new(), answer.to_string().into()).await;
    }
}

fn info(endpoint: &OfferedEndpoint) -> Value {
    json!({
        "name": endpoint.name,
        "subject": endpoint.subject,
        "queue_group": endpoint.queue_group,
        "metadata": {},
    })
}

fn stats(endpoint: &OfferedEndpoint) -> Value {
    let Counts { requests, errors, processing_time, last_error } = endpoint.counts();
    let average =
        processing_time.checked_div(u32::try_from(requests).unwrap_or(u32::MAX)).unwrap_or_default();
    json!({
        "name": endpoint.name,
        "subject": endpoint.subject,
        "queue_group": endpoint.queue_group,
        "num_requests": requests,
        "num_errors": errors,
        "last_error": last_error.map_or_else(String::new, |error| format!("{}:{}", error.code, error.message)),
        "processing_time": nanoseconds(processing_time),
        "average_processing_time": nanoseconds(average),
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
