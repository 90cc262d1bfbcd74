//! The client of the micro service: requests to the hosts of a namespace, as any NATS client can send them.

use super::{answer::InputAndPayload, wait::LONGEST};
use crate::{
    backend::{NatsBackend, signals, start_message},
    headers::{header, insert_text, insert_trace},
    names::{self, ApiMethod, SERVICE_ERROR, SERVICE_ERROR_CODE, subject_token},
};
use async_nats::{HeaderMap, Message, Request, RequestErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::{
    Control,
    api::{
        Api, ApiError, ControlView, RetryQuery, RetryView, RunsView, SignalAnswer, SignalRequest,
        StartAnswer, WorkflowView, WorkflowsView,
    },
    backend::{RunsQuery, StartRequest},
};
use jetway_state::{
    Rounded, STORE_ELSEWHERE,
    view::{OutputPage, OutputQuery, StatusView},
};
use serde::de::DeserializeOwned;
use std::{slice, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long a host may take to answer, in addition to the time for which the request itself waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The error code of a request that no host receives.
pub const NO_HOST: u16 = 502;

/// The error code of a request to a host that has too many requests.
pub const BUSY: u16 = 429;

/// The error code of a request that a host received and did not answer in time.
pub const NO_ANSWER: u16 = 504;

/// Sends requests to the hosts of a namespace. The server chooses the host that answers.
#[derive(Debug, Clone)]
pub struct HostsClient {
    backend: Arc<NatsBackend>,
}

impl HostsClient {
    async fn start_once(
        &self,
        request: &StartRequest,
        wait: Option<Duration>,
    ) -> Result<StartAnswer, ApiError> {
        let mut headers = start_message::headers(request);
        let text = wait.map(|wait| format!("{}ms", wait.as_millis()));
        insert_text(&mut headers, names::WAIT, text.as_deref());
        let input = request.input.clone();
        self.request(ApiMethod::Start, &[&request.workflow], headers, input, wait).await
    }

    /// A client of the hosts that share this backend's server and namespace.
    pub fn new(backend: Arc<NatsBackend>) -> Self {
        Self { backend }
    }

    async fn request<A: DeserializeOwned>(
        &self,
        method: ApiMethod,
        tokens: &[&str],
        headers: HeaderMap,
        payload: Bytes,
        wait: Option<Duration>,
    ) -> Result<A, ApiError> {
        parse_answer(&self.ask(method, tokens, headers, payload, wait).await?)
    }

    /// Compiled once, not once for each type of an answer.
    async fn ask(
        &self,
        method: ApiMethod,
        tokens: &[&str],
        headers: HeaderMap,
        payload: Bytes,
        wait: Option<Duration>,
    ) -> Result<Message, ApiError> {
        for token in tokens {
            subject_token("the name", token).map_err(|error| ApiError::new(400, error.to_string()))?;
        }
        let subject = self.backend.names().api(method, tokens);
        let connection = self.backend.connection();
        let (bytes, max) = (payload.len(), connection.max_payload());
        if bytes > max {
            let sentence = format!(
                "the request to {subject} is {bytes} bytes, and the server takes {max}: {STORE_ELSEWHERE}"
            );
            return Err(ApiError::new(413, sentence));
        }
        let within = wait.unwrap_or_default().saturating_add(ANSWER_WITHIN);
        // Also the time in which the request cannot be sent counts, which the client of NATS leaves out.
        let request = Request::new().payload(payload).headers(headers).timeout(None);
        let answer = timeout(within, connection.client.send_request(subject.clone(), request));
        let answer = connection.unless_denied(slice::from_ref(&subject), answer).await;
        let answer = answer.map_err(|denied| {
            ApiError::new(403, format!("this user may not send requests to {subject}: {denied}"))
        })?;
        match answer {
            Ok(answer) => answer.map_err(|error| request_error(error.kind(), &subject)),
            Err(_elapsed) => Err(no_answer(&subject, within)),
        }
    }
}

#[async_trait]
impl Api for HostsClient {
    /// A client does not know which workflows are served. The answer to the request shows it.
    fn serves(&self, _workflow: &str) -> bool {
        true
    }

    async fn start(&self, request: StartRequest, wait: Option<Duration>) -> Result<StartAnswer, ApiError> {
        let Some(wait) = wait else { return self.start_once(&request, None).await };
        let (mut request, started) = (request, Instant::now());
        loop {
            // A host does not wait for longer than that.
            let left = wait.saturating_sub(started.elapsed()).min(LONGEST);
            let answer = self.start_once(&request, Some(left)).await;
            // The error says how long all requests have waited.
            let answer = answer.map_err(|error| match error.code {
                NO_ANSWER => no_answer(&format!("the start of run {}", request.run_id), started.elapsed()),
                _ => error,
            });
            match answer? {
                // The same run id and input are the same run, so the next request waits for it.
                StartAnswer::Started { run_id, .. } if started.elapsed() < wait => {
                    request.run_id = run_id.to_string();
                }
                answer => return Ok(answer),
            }
        }
    }

    async fn status(&self, workflow: &str, run_id: &str) -> Result<StatusView, ApiError> {
        let tokens = [workflow, run_id];
        self.request(ApiMethod::Status, &tokens, HeaderMap::new(), Bytes::new(), None).await
    }

    async fn output(&self, workflow: &str, run_id: &str, query: OutputQuery) -> Result<OutputPage, ApiError> {
        let tokens = [workflow, run_id];
        let query = serde_json::to_vec(&query)
            .map_err(|error| ApiError::new(400, format!("cannot encode the query for an output: {error}")))?;
        self.request(ApiMethod::Output, &tokens, HeaderMap::new(), query.into(), None).await
    }

    async fn control(&self, control: Control, workflow: &str, run_id: &str) -> Result<ControlView, ApiError> {
        let tokens = [workflow, run_id];
        self.request(ApiMethod::Control(control), &tokens, HeaderMap::new(), Bytes::new(), None).await
    }

    async fn retry(&self, workflow: &str, run_id: &str, query: RetryQuery) -> Result<RetryView, ApiError> {
        let tokens = [workflow, run_id];
        let query = serde_json::to_vec(&query)
            .map_err(|error| ApiError::new(400, format!("cannot encode the query for a retry: {error}")))?;
        self.request(ApiMethod::Retry, &tokens, HeaderMap::new(), query.into(), None).await
    }

    async fn signal(&self, request: SignalRequest) -> Result<SignalAnswer, ApiError> {
        let SignalRequest { workflow, run_id, name, id, incarnation, content_type, payload } = request;
        let headers = signals::headers(id.as_deref(), incarnation, content_type.as_deref());
        self.request(ApiMethod::Signal, &[&workflow, &run_id, &name], headers, payload, None).await
    }

    async fn signal_with_start(
        &self,
        start: StartRequest,
        signal: SignalRequest,
    ) -> Result<SignalAnswer, ApiError> {
        let text = |bytes: &[u8], what: &str| {
            serde_json::from_slice(bytes)
                .map_err(|error| ApiError::new(400, format!("{what} is not JSON: {error}")))
        };
        let body = InputAndPayload {
            input: text(&start.input, "the input")?,
            payload: text(&signal.payload, "the payload of the signal")?,
        };
        let body = serde_json::to_vec(&body)
            .map_err(|error| ApiError::new(400, format!("cannot encode the request: {error}")))?;
        let SignalRequest { workflow, run_id, name, id, .. } = signal;
        let mut headers = signals::headers(id.as_deref(), None, None);
        insert_text(&mut headers, names::START_AT, start.start_time.header().as_deref());
        insert_text(&mut headers, names::DEADLINE, start.deadline.header().as_deref());
        insert_trace(&mut headers, &start.trace);
        let tokens = [workflow.as_str(), &run_id, &name];
        self.request(ApiMethod::SignalWithStart, &tokens, headers, body.into(), None).await
    }

    async fn runs(&self, query: RunsQuery) -> Result<RunsView, ApiError> {
        let query = serde_json::to_vec(&query)
            .map_err(|error| ApiError::new(400, format!("cannot encode the query for runs: {error}")))?;
        self.request(ApiMethod::Runs, &[], HeaderMap::new(), query.into(), None).await
    }

    async fn workflows(&self) -> Result<WorkflowsView, ApiError> {
        self.request(ApiMethod::Workflows, &[], HeaderMap::new(), Bytes::new(), None).await
    }

    async fn workflow(&self, name: &str) -> Result<WorkflowView, ApiError> {
        self.request(ApiMethod::Workflow, &[name], HeaderMap::new(), Bytes::new(), None).await
    }
}

/// Parses the answer of a host.
pub(crate) fn parse_answer<A: DeserializeOwned>(answer: &Message) -> Result<A, ApiError> {
    if let Some(sentence) = header(answer, SERVICE_ERROR) {
        let code = header(answer, SERVICE_ERROR_CODE).and_then(|code| code.parse().ok()).unwrap_or(500);
        return Err(ApiError::new(code, sentence));
    }
    serde_json::from_slice(&answer.payload)
        .map_err(|error| ApiError::new(500, format!("cannot decode the answer of the host: {error}")))
}

fn no_answer(subject: &str, waited: Duration) -> ApiError {
    ApiError::new(NO_ANSWER, format!("no answer to {subject} within {}: try again", Rounded(waited)))
}

fn request_error(kind: RequestErrorKind, subject: &str) -> ApiError {
    match kind {
        RequestErrorKind::NoResponders => ApiError::new(NO_HOST, format!("no host answers {subject}")),
        RequestErrorKind::MaxPayloadExceeded => {
            ApiError::new(413, format!("the request to {subject} is larger than the server takes"))
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::TimedOut | RequestErrorKind::Other => {
            ApiError::new(503, format!("cannot send a request to {subject}: {kind}"))
        }
    }
}
