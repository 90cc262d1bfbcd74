//! The NATS micro service `jetway`: hosts answer requests of any NATS client.
//!
//! | subject | payload and headers | reply |
//! |---|---|---|
//! | `jetway.ns.api.start.<workflow>` | the input, JSON or CBOR (`Content-Type`); `Jetway-Run-Id`, `Jetway-Wait: 30s`, `traceparent` | `{"run_id", "incarnation"}`, or the result |
//! | `jetway.ns.api.status.<workflow>.<run_id>` | - | the status of the run |
//! | `jetway.ns.api.cancel.<workflow>.<run_id>`, `.pause.`, `.resume.` | - | `{"run_id", "status", "changed"}`; error 409 if the run has ended |
//! | `jetway.ns.api.runs` | nothing, or `{"workflow", "status", "limit", "after"}` | a page of runs; `unreadable` lists those whose records cannot be decoded |
//! | `jetway.ns.api.workflows` | - | the workflows of the host that answers |
//!
//! Each workflow has an endpoint of its own, so that a request reaches a host that serves it. Another endpoint receives the
//! starts of all workflows and refuses those that no host serves. It is in a queue group of its own, because the members of
//! one queue group share messages whatever their subjects are.

pub(crate) mod answer;
pub(crate) mod client;
mod unknown_workflow;
mod wait;

pub use client::{BUSY, HostsClient, NO_ANSWER, NO_HOST};

use crate::{
    backend::NatsBackend,
    headers::one_line,
    names::{ApiMethod, Names, SERVICE, SERVICE_QUEUE, UNKNOWN_WORKFLOW_QUEUE},
    session::api,
};
use answer::Answerer;
use async_nats::service::{
    Request, Service, ServiceExt as _, endpoint::Endpoint as EndpointStream, error::Error as ServiceError,
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::SelectAll};
use jetway_engine::{
    Control,
    backend::{Api, ApiError, BackendError, BackendErrorKind},
};
use jetway_state::WorkflowName;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How many requests a host answers at once, including those that wait for a result.
const MAX_REQUESTS: usize = 4096;

/// The endpoint that received a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Method(ApiMethod),
    /// It receives the starts of all workflows, to refuse those that no host serves.
    UnknownWorkflow,
}

type Requests = SelectAll<futures::stream::BoxStream<'static, (Endpoint, Request)>>;

/// A running service. Dropping it ends it at once. [`stop`](Self::stop) lets it finish its requests.
#[derive(Debug)]
pub struct ServiceHandle {
    service: Option<Service>,
    /// Cancelled when no more requests are accepted.
    closing: CancellationToken,
    /// Cancelled when requests that still wait are answered with an error.
    abort: CancellationToken,
    task: Option<AbortOnDropHandle<()>>,
}

/// Serves an API to every NATS client of the namespace. `workflows` are those that this host serves. The host should have
/// [announced](jetway_engine::backend::Hosts::announce) itself before; otherwise other hosts may answer that no host serves
/// them.
///
/// # Errors
/// The connection is closed, or the server does not allow the subscriptions.
pub fn serve(
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    workflows: &[WorkflowName],
) -> BoxFuture<'_, Result<ServiceHandle, BackendError>> {
    // Boxed, so that it is compiled in this crate and not wherever it is awaited.
    Box::pin(set_up(backend, api, workflows))
}

async fn set_up(
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    workflows: &[WorkflowName],
) -> Result<ServiceHandle, BackendError> {
    let connection = Arc::clone(backend.connection());
    let service = connection
        .client
        .service_builder()
        .description("Jetway: starts workflows, and reports on and controls their runs")
        .queue_group(SERVICE_QUEUE)
        .metadata([("namespace".to_owned(), backend.namespace().to_string())].into())
        .start(SERVICE, env!("CARGO_PKG_VERSION"))
        .await
        .map_err(|error| not_served(&error))?;
    let requests =
        endpoints(&service, backend.names(), workflows).await.map_err(|error| not_served(&error))?;
    // The server processes a connection in order: when it replies to this, it has processed the subscriptions.
    api::round_trip(&connection).await.map_err(|failure| failure.cannot("start the service"))?;
    let (closing, abort) = (CancellationToken::new(), CancellationToken::new());
    let answerer = Arc::new(Answerer::new(backend, api));
    let task = tokio::spawn(run(requests, answerer, closing.clone(), abort.clone()));
    Ok(ServiceHandle { service: Some(service), closing, abort, task: Some(AbortOnDropHandle::new(task)) })
}

fn not_served(error: &async_nats::Error) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, format!("cannot start the service {SERVICE}: {error}"))
}

async fn endpoints(
    service: &Service,
    names: &Names,
    workflows: &[WorkflowName],
) -> Result<Requests, async_nats::Error> {
    let mut requests = Requests::new();
    let mut add = |endpoint: Endpoint, stream: EndpointStream| {
        requests.push(stream.map(move |request| (endpoint, request)).boxed());
    };
    let builder = |name: &str| service.endpoint_builder().name(name);
    for workflow in workflows {
        let workflow = workflow.as_str();
        let name = format!("{}-{workflow}", ApiMethod::Start.verb());
        let stream = builder(&name).add(names.api(ApiMethod::Start, &[workflow])).await?;
        add(Endpoint::Method(ApiMethod::Start), stream);
    }
    let all_starts = builder(ApiMethod::Start.verb()).queue_group(UNKNOWN_WORKFLOW_QUEUE);
    add(Endpoint::UnknownWorkflow, all_starts.add(names.api(ApiMethod::Start, &["*"])).await?);
    let run: &[&str] = &["*", "*"];
    let control = |control| (ApiMethod::Control(control), run);
    let others = [
        (ApiMethod::Status, run),
        control(Control::Cancel),
        control(Control::Pause),
        control(Control::Resume),
        (ApiMethod::Runs, &[]),
        (ApiMethod::Workflows, &[]),
    ];
    for (method, tokens) in others {
        let stream = builder(method.verb()).add(names.api(method, tokens)).await?;
        add(Endpoint::Method(method), stream);
    }
    Ok(requests)
}

async fn run(
    mut requests: Requests,
    answerer: Arc<Answerer>,
    closing: CancellationToken,
    abort: CancellationToken,
) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(ended) = answers.join_next() => report(ended),
            request = requests.next() => match request {
                Some((endpoint, request)) if answers.len() < MAX_REQUESTS => {
                    let (answerer, abort) = (Arc::clone(&answerer), abort.clone());
                    answers.spawn(async move {
                        tokio::select! {
                            biased;
                            answer = answerer.answer(endpoint, &request.message) => respond(&request, answer).await,
                            () = abort.cancelled() => respond(&request, Some(Err(stopping()))).await,
                        }
                    });
                }
                Some((Endpoint::UnknownWorkflow, _)) => {}
                Some((_, request)) => respond(&request, Some(Err(busy()))).await,
                None => break,
            },
        }
    }
    while let Some(ended) = answers.join_next().await {
        report(ended);
    }
}

async fn respond(request: &Request, answer: Option<Result<Bytes, ApiError>>) {
    let Some(answer) = answer else { return };
    let answer = answer
        .map_err(|error| ServiceError { status: one_line(&error.message), code: usize::from(error.code) });
    if let Err(error) = request.respond(answer).await {
        tracing::debug!(%error, subject = %request.message.subject, "cannot answer a request");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task that answers a request has failed");
    }
}

fn stopping() -> ApiError {
    ApiError::new(503, "the host is shutting down: try again")
}

fn busy() -> ApiError {
    ApiError::new(BUSY, format!("the host has {MAX_REQUESTS} other requests: try again later"))
}

impl ServiceHandle {
    /// Accepts no more requests, gives those that are in progress `grace` to finish, and answers the rest with an error.
    pub async fn stop(mut self, grace: Duration) {
        self.end_subscriptions();
        self.closing.cancel();
        let Some(mut task) = self.task.take() else { return };
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return;
        }
        self.abort.cancel();
        report(task.await);
    }

    fn end_subscriptions(&mut self) {
        let stopped = self.service.take().and_then(|service| service.stop().now_or_never());
        if let Some(Err(error)) = stopped {
            tracing::debug!(%error, "the service was already stopped");
        }
    }
}

impl Drop for ServiceHandle {
    fn drop(&mut self) {
        // Otherwise the task that the client library has for the service would stay.
        self.end_subscriptions();
    }
}
