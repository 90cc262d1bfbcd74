//! Reading requests and answering them.

use super::{Door, unknown::LookOut, wait::wait};
use crate::{
    backend::NatsBackend,
    committer::largest,
    names::{self, Ask, Names},
    write::trace_of,
};
use async_nats::Message;
use bytes::Bytes;
use jetway_engine::{
    Control,
    backend::{Api, ApiError, RunsQuery, StartRequest},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answerer {
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    look_out: LookOut,
}

impl Answerer {
    pub(super) fn new(backend: Arc<NatsBackend>, api: Arc<dyn Api>) -> Self {
        let look_out = LookOut::new(Arc::clone(&backend), Arc::clone(&api));
        Self { backend, api, look_out }
    }

    /// The answer to a request; `None` where somebody else answers it.
    pub(super) async fn answer(&self, door: Door, request: &Message) -> Option<Result<Bytes, ApiError>> {
        let answer = match door {
            Door::LookOut => return self.any_start(request).await.map(Err),
            Door::Ask(Ask::Start) => self.start(request).await,
            Door::Ask(Ask::Status) => self.status(request).await,
            Door::Ask(ask @ Ask::Control(control)) => self.control(ask, control, request).await,
            Door::Ask(Ask::Runs) => self.runs(request).await,
            Door::Ask(Ask::Workflows) => self.api.workflows().await,
        };
        Some(answer.and_then(|value| self.written(&value)))
    }

    async fn any_start(&self, request: &Message) -> Option<ApiError> {
        let [workflow] = self.backend.names.api_words(Ask::Start, &request.subject)?;
        self.look_out.refuse(workflow).await
    }

    async fn start(&self, request: &Message) -> Result<Value, ApiError> {
        let (start, wait) = start(&self.backend.names, request)?;
        self.api.start(start, wait).await
    }

    async fn status(&self, request: &Message) -> Result<Value, ApiError> {
        let [workflow, run_id] = words(&self.backend.names, Ask::Status, request)?;
        self.api.status(workflow, run_id).await
    }

    async fn control(&self, ask: Ask, control: Control, request: &Message) -> Result<Value, ApiError> {
        let [workflow, run_id] = words(&self.backend.names, ask, request)?;
        self.api.control(control, workflow, run_id).await
    }

    async fn runs(&self, request: &Message) -> Result<Value, ApiError> {
        self.api.runs(query(request)?).await
    }

    fn written(&self, value: &Value) -> Result<Bytes, ApiError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| ApiError::new(500, format!("the answer cannot be written: {error}")))?;
        let most = largest(&self.backend.link);
        if bytes.len() > most {
            let sentence =
                format!("the answer is {} bytes, and the server carries {most}: ask for less", bytes.len());
            return Err(ApiError::new(500, sentence));
        }
        Ok(bytes.into())
    }
}

/// The start that a request asks for, and how long its sender waits for the result.
pub(crate) fn start(names: &Names, request: &Message) -> Result<(StartRequest, Option<Duration>), ApiError> {
    let [workflow] = words(names, Ask::Start, request)?;
    let wait = wait(word(request, names::WAIT))?;
    let run_id = word(request, names::RUN_ID).map(|id| id.trim().to_owned()).unwrap_or_else(random_run_id);
    let start = StartRequest {
        workflow: workflow.to_owned(),
        run_id,
        input: request.payload.clone(),
        encoding: crate::starts::encoding(word(request, names::CONTENT_TYPE)),
        trace: trace_of(request.headers.as_ref()),
    };
    Ok((start, wait))
}

/// The runs that a request asks for.
pub(crate) fn query(request: &Message) -> Result<RunsQuery, ApiError> {
    if request.payload.is_empty() {
        return Ok(RunsQuery::default());
    }
    serde_json::from_slice(&request.payload)
        .map_err(|error| ApiError::new(400, format!("the question about runs is not understood: {error}")))
}

/// What follows the verb in the subject of a request.
pub(crate) fn words<'a, const N: usize>(
    names: &Names,
    ask: Ask,
    request: &'a Message,
) -> Result<[&'a str; N], ApiError> {
    let words = names.api_words(ask, &request.subject);
    words.ok_or_else(|| ApiError::new(400, format!("{} is no subject of this service", request.subject)))
}

fn word(request: &Message, name: async_nats::HeaderName) -> Option<&str> {
    request.headers.as_ref()?.get(name).map(|value| value.as_str())
}

/// The id of a run that nobody named. There is no message in a stream that it could be derived from.
fn random_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
