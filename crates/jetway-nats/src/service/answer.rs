//! Parses requests and answers them.

use super::{Endpoint, replies::ReplyTo, unknown_workflow::UnknownWorkflow, wait::parse_wait};
use crate::{
    backend::{
        NatsBackend, signals,
        start_message::{deadline_of, encoding_of, start_time_of},
    },
    headers::{header, trace_of},
    names::{self, ApiMethod, Names},
};
use async_nats::Message;
use bytes::Bytes;
use jetway_engine::{
    Control,
    api::{
        Api, ApiError, ControlView, RetryView, RunsView, SignalAnswer, SignalRequest, StartAnswer,
        WorkflowView,
    },
    backend::StartRequest,
};
use jetway_state::{
    Timestamp,
    codec::Encoding,
    view::{OutputPage, OutputQuery, StatusView},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// Room in an answer for what is around the text of a page, in bytes.
const PAGE_RESERVE: usize = 1024;

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answerer {
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    unknown_workflow: UnknownWorkflow,
}

impl Answerer {
    pub(super) fn new(backend: Arc<NatsBackend>, api: Arc<dyn Api>) -> Self {
        let unknown_workflow = UnknownWorkflow::new(Arc::clone(&backend), Arc::clone(&api));
        Self { backend, api, unknown_workflow }
    }

    /// The answer to a request. `None` if another host answers it.
    pub(super) async fn answer(
        &self,
        endpoint: Endpoint,
        waits: bool,
        request: Message,
    ) -> Option<Result<Bytes, ApiError>> {
        let answer = match endpoint {
            Endpoint::UnknownWorkflow => return self.any_start(&request).await.map(Err),
            Endpoint::Method(ApiMethod::Start) => self.encoded(self.start(waits, request).await),
            Endpoint::Method(ApiMethod::Status) => self.encoded(self.status(&request).await),
            Endpoint::Method(ApiMethod::Output) => self.encoded(self.output(&request).await),
            Endpoint::Method(method @ ApiMethod::Control(control)) => {
                self.encoded(self.control(method, control, &request).await)
            }
            Endpoint::Method(ApiMethod::Retry) => self.encoded(self.retry(&request).await),
            Endpoint::Method(ApiMethod::Signal) => self.encoded(self.signal(request).await),
            Endpoint::Method(ApiMethod::SignalWithStart) => {
                self.encoded(self.signal_with_start(request).await)
            }
            Endpoint::Method(ApiMethod::Runs) => self.encoded(self.runs(&request).await),
            Endpoint::Method(ApiMethod::Workflows) => self.encoded(self.api.workflows().await),
            Endpoint::Method(ApiMethod::Workflow) => self.encoded(self.workflow(&request).await),
        };
        Some(answer)
    }

    async fn any_start(&self, request: &Message) -> Option<ApiError> {
        let [workflow] = self.backend.names().api_tokens(ApiMethod::Start, &request.subject)?;
        self.unknown_workflow.refuse(workflow).await
    }

    async fn start(&self, waits: bool, request: Message) -> Result<StartAnswer, ApiError> {
        let (start, wait) =
            parse_start(self.backend.names(), &request, self.backend.connection().server_time())?;
        // The input is not held while the request waits for a result.
        drop(request);
        self.api.start(start, wait.filter(|_| waits)).await
    }

    async fn status(&self, request: &Message) -> Result<StatusView, ApiError> {
        let [workflow, run_id] = parse_tokens(self.backend.names(), ApiMethod::Status, request)?;
        let mut status = self.api.status(workflow, run_id).await?;
        status.run = status.run.within(self.backend.connection().max_payload() / 4);
        Ok(status)
    }

    async fn output(&self, request: &Message) -> Result<OutputPage, ApiError> {
        let [workflow, run_id] = parse_tokens(self.backend.names(), ApiMethod::Output, request)?;
        let query: OutputQuery = parse_query(request, "an output")?;
        // A text takes at most twice its size as JSON within JSON: of its characters, only quotes and backslashes are escaped.
        let max = self.backend.connection().max_payload().saturating_sub(PAGE_RESERVE) / 2;
        let limit = Some(query.limit.map_or(max, |limit| limit.min(max)));
        self.api.output(workflow, run_id, OutputQuery { limit, ..query }).await
    }

    async fn control(
        &self,
        method: ApiMethod,
        control: Control,
        request: &Message,
    ) -> Result<ControlView, ApiError> {
        let [workflow, run_id] = parse_tokens(self.backend.names(), method, request)?;
        self.api.control(control, workflow, run_id).await
    }

    async fn retry(&self, request: &Message) -> Result<RetryView, ApiError> {
        let [workflow, run_id] = parse_tokens(self.backend.names(), ApiMethod::Retry, request)?;
        self.api.retry(workflow, run_id, parse_query(request, "a retry")?).await
    }

    async fn signal(&self, request: Message) -> Result<SignalAnswer, ApiError> {
        let signal = parse_signal(self.backend.names(), &request)?;
        // The request has all that the signal has.
        drop(request);
        self.api.signal(signal).await
    }

    async fn signal_with_start(&self, request: Message) -> Result<SignalAnswer, ApiError> {
        let now = self.backend.connection().server_time();
        let (start, signal) = parse_signal_with_start(self.backend.names(), &request, now)?;
        drop(request);
        self.api.signal_with_start(start, signal).await
    }

    async fn runs(&self, request: &Message) -> Result<RunsView, ApiError> {
        self.api.runs(parse_query(request, "runs")?).await
    }

    async fn workflow(&self, request: &Message) -> Result<WorkflowView, ApiError> {
        let [name] = parse_tokens(self.backend.names(), ApiMethod::Workflow, request)?;
        self.api.workflow(name).await
    }

    /// The answer as JSON.
    fn encoded(&self, answer: Result<impl Serialize, ApiError>) -> Result<Bytes, ApiError> {
        let bytes = serde_json::to_vec(&answer?)
            .map_err(|error| ApiError::new(500, format!("cannot encode the answer: {error}")))?;
        let max = self.backend.connection().max_payload();
        if bytes.len() > max {
            let sentence =
                format!("the answer is {} bytes, and the server takes {max}: request less", bytes.len());
            return Err(ApiError::new(500, sentence));
        }
        Ok(bytes.into())
    }
}

/// Whether a start waits for its result, and somebody gets it.
pub(super) fn waits(request: &Message, to: &ReplyTo) -> bool {
    *to != ReplyTo::Nobody && header(request, names::WAIT).is_some()
}

/// Parses a request for a start, which came at `now`. Returns also how long the client waits for the result.
pub(crate) fn parse_start(
    names: &Names,
    request: &Message,
    now: Timestamp,
) -> Result<(StartRequest, Option<Duration>), ApiError> {
    let [workflow] = parse_tokens(names, ApiMethod::Start, request)?;
    let wait = parse_wait(header(request, names::WAIT))?;
    let run_id = header(request, names::RUN_ID).map(|id| id.trim().to_owned()).unwrap_or_else(random_run_id);
    let start = StartRequest {
        workflow: workflow.to_owned(),
        run_id,
        input: request.payload.clone(),
        encoding: encoding_of(header(request, names::CONTENT_TYPE)),
        start_time: start_time_of(request, now),
        deadline: deadline_of(request),
        trace: trace_of(request.headers.as_ref()),
    };
    Ok((start, wait))
}

/// Parses a request with a signal.
pub(crate) fn parse_signal(names: &Names, request: &Message) -> Result<SignalRequest, ApiError> {
    let [workflow, run_id, name] = parse_tokens(names, ApiMethod::Signal, request)?;
    let headers = request.headers.as_ref();
    let incarnation = signals::incarnation_for(headers)
        .map_err(|error| ApiError::new(400, format!("the header {}: {error}", names::INCARNATION)))?;
    Ok(SignalRequest {
        workflow: workflow.to_owned(),
        run_id: run_id.to_owned(),
        name: name.to_owned(),
        id: signals::chosen_id(headers).map(ToOwned::to_owned),
        incarnation,
        content_type: signals::content_type_of(headers).map(ToOwned::to_owned),
        payload: request.payload.clone(),
    })
}

/// The payload of a signal that starts its run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputAndPayload {
    /// The input of the run.
    pub(crate) input: Box<RawValue>,
    /// The payload of the signal.
    pub(crate) payload: Box<RawValue>,
}

/// Parses a request with a signal that starts its run, which came at `now`.
pub(crate) fn parse_signal_with_start(
    names: &Names,
    request: &Message,
    now: Timestamp,
) -> Result<(StartRequest, SignalRequest), ApiError> {
    let [workflow, run_id, name] = parse_tokens(names, ApiMethod::SignalWithStart, request)?;
    let InputAndPayload { input, payload } = serde_json::from_slice(&request.payload).map_err(|error| {
        let sentence = format!("the request has to be {{\"input\": .., \"payload\": ..}}, in JSON: {error}");
        ApiError::new(400, sentence)
    })?;
    let headers = request.headers.as_ref();
    let signal = SignalRequest {
        workflow: workflow.to_owned(),
        run_id: run_id.to_owned(),
        name: name.to_owned(),
        id: signals::chosen_id(headers).map(ToOwned::to_owned),
        incarnation: None,
        content_type: None,
        payload: Bytes::from(String::from(Box::<str>::from(payload))),
    };
    let start = StartRequest {
        workflow: workflow.to_owned(),
        run_id: run_id.to_owned(),
        input: Bytes::from(String::from(Box::<str>::from(input))),
        encoding: Encoding::Json,
        start_time: start_time_of(request, now),
        deadline: deadline_of(request),
        trace: trace_of(headers),
    };
    Ok((start, signal))
}

/// Parses a request for a page of runs, or of an output.
pub(crate) fn parse_query<Q: Default + DeserializeOwned>(
    request: &Message,
    what: &str,
) -> Result<Q, ApiError> {
    if request.payload.is_empty() {
        return Ok(Q::default());
    }
    serde_json::from_slice(&request.payload)
        .map_err(|error| ApiError::new(400, format!("invalid query for {what}: {error}")))
}

/// The tokens after the verb in the subject of a request.
pub(crate) fn parse_tokens<'a, const N: usize>(
    names: &Names,
    method: ApiMethod,
    request: &'a Message,
) -> Result<[&'a str; N], ApiError> {
    let tokens = names.api_tokens(method, &request.subject);
    tokens.ok_or_else(|| ApiError::new(400, format!("{} is not a subject of this service", request.subject)))
}

/// The id of a run whose request has none. There is no message in a stream from which it could be derived.
fn random_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
