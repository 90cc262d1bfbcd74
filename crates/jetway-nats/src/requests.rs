//! Asking the hosts of a namespace, as any NATS client can: the other side of the [`service`](crate::serve).

use crate::{
    backend::NatsBackend,
    committer::largest,
    names::{self, Ask, token},
    starts,
    write::insert,
};
use async_nats::{
    HeaderMap, Message, Request, RequestErrorKind,
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::{
    Control,
    backend::{Api, ApiError, RunsQuery, StartRequest},
};
use jetway_state::STORE_ELSEWHERE;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// How long a host may take to answer, beyond what the request itself waits for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The code of the error for a request that no host hears.
pub const NO_HOST: u16 = 502;

/// The code of the error for a request that a host has no place for now.
pub const BUSY: u16 = 429;

/// The code of the error for a request that a host heard and did not answer in time.
pub const NO_ANSWER: u16 = 504;

/// The hosts of a namespace, as a client asks them. Which host answers is the server's choice.
#[derive(Debug, Clone)]
pub struct Remote {
    backend: Arc<NatsBackend>,
}

impl Remote {
    /// The hosts that share this backend's server and namespace.
    pub fn new(backend: Arc<NatsBackend>) -> Self {
        Self { backend }
    }

    async fn ask(
        &self,
        ask: Ask,
        rest: &[&str],
        headers: HeaderMap,
        payload: Bytes,
        wait: Option<Duration>,
    ) -> Result<Value, ApiError> {
        for word in rest {
            token("a request for", word).map_err(|error| ApiError::new(400, error.to_string()))?;
        }
        let subject = self.backend.names.api(ask, rest);
        let (bytes, most) = (payload.len(), largest(&self.backend.link));
        if bytes > most {
            let sentence = format!(
                "the request to {subject} is {bytes} bytes, and the server carries {most}: {STORE_ELSEWHERE}"
            );
            return Err(ApiError::new(413, sentence));
        }
        let within = wait.unwrap_or_default().saturating_add(ANSWER_WITHIN);
        let request = Request::new().payload(payload).headers(headers).timeout(Some(within));
        let answer = self.backend.link.client.send_request(subject.clone(), request).await;
        read(&answer.map_err(|error| unanswered(error.kind(), &subject, within))?)
    }
}

#[async_trait]
impl Api for Remote {
    /// A client cannot know; the answer to the request tells.
    fn serves(&self, _workflow: &str) -> bool {
        true
    }

    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<Value, ApiError> {
        let mut headers = starts::headers(&request);
        let words = wait.map(|wait| format!("{}ms", wait.as_millis()));
        insert(&mut headers, names::WAIT, words.as_deref());
        self.ask(Ask::Start, &[&request.workflow], headers, request.input, wait).await
    }

    async fn status(&self, workflow: &str, run_id: &str) -> Result<Value, ApiError> {
        self.ask(Ask::Status, &[workflow, run_id], HeaderMap::new(), Bytes::new(), None).await
    }

    async fn control(&self, control: Control, workflow: &str, run_id: &str) -> Result<Value, ApiError> {
        self.ask(Ask::Control(control), &[workflow, run_id], HeaderMap::new(), Bytes::new(), None).await
    }

    async fn runs(&self, query: RunsQuery) -> Result<Value, ApiError> {
        let query = serde_json::to_vec(&query).map_err(|error| {
            ApiError::new(400, format!("the question about runs cannot be written: {error}"))
        })?;
        self.ask(Ask::Runs, &[], HeaderMap::new(), query.into(), None).await
    }

    async fn workflows(&self) -> Result<Value, ApiError> {
        self.ask(Ask::Workflows, &[], HeaderMap::new(), Bytes::new(), None).await
    }
}

/// What a host answered.
pub(crate) fn read(answer: &Message) -> Result<Value, ApiError> {
    let word = |name| answer.headers.as_ref()?.get(name).map(|value| value.as_str());
    if let Some(sentence) = word(NATS_SERVICE_ERROR) {
        let code = word(NATS_SERVICE_ERROR_CODE).and_then(|code| code.parse().ok()).unwrap_or(500);
        return Err(ApiError::new(code, sentence));
    }
    serde_json::from_slice(&answer.payload)
        .map_err(|error| ApiError::new(500, format!("the host's answer is not JSON: {error}")))
}

fn unanswered(kind: RequestErrorKind, subject: &str, within: Duration) -> ApiError {
    match kind {
        RequestErrorKind::NoResponders => {
            ApiError::new(NO_HOST, format!("no host answers {subject}: none is up in this namespace"))
        }
        RequestErrorKind::TimedOut => {
            ApiError::new(NO_ANSWER, format!("no answer from {subject} within {within:?}"))
        }
        RequestErrorKind::MaxPayloadExceeded => {
            ApiError::new(413, format!("the request to {subject} is larger than the server carries"))
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
            ApiError::new(503, format!("{subject} cannot be asked: {kind}"))
        }
    }
}
