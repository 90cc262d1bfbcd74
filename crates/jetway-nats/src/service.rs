//! The micro service `jetway`: what a host answers to requests of any NATS client.
//!
//! | subject | payload and headers | reply |
//! |---|---|---|
//! | `jetway.ns.api.start.<workflow>` | the input, JSON or CBOR (`Content-Type`); `Jetway-Run-Id`, `Jetway-Wait: 30s`, `traceparent` | `{"run_id"}`, or the result |
//! | `jetway.ns.api.status.<workflow>.<run_id>` | - | the run as it stands |
//! | `jetway.ns.api.cancel.<workflow>.<run_id>`, `.pause.`, `.resume.` | - | `{"run_id", "status", "changed"}`; an error 409 where the run has ended |
//! | `jetway.ns.api.runs` | nothing, or `{"workflow", "status", "limit", "after"}` | a page of runs; `unreadable` names those whose records cannot be read |
//! | `jetway.ns.api.workflows` | - | the workflows of the host that answers |
//!
//! Each workflow has an endpoint of its own, so that a request reaches a host that serves it. One more endpoint hears
//! the starts of every workflow and answers those that nobody serves; it is in another queue group, since members of one
//! queue group share messages whatever their subjects are.

pub(crate) mod answer;
mod unknown;
mod wait;

use crate::{
    backend::NatsBackend,
    names::{Ask, LOOK_OUT_QUEUE, Names, SERVICE, SERVICE_QUEUE},
    requests::BUSY,
    write::one_line,
};
use answer::Answerer;
use async_nats::service::{
    Request, Service, ServiceExt as _, endpoint::Endpoint, error::Error as ServiceError,
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream::SelectAll};
use jetway_engine::{
    Control,
    backend::{Api, ApiError, BackendError, BackendErrorKind},
};
use jetway_state::WorkflowName;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How many requests a host answers at once, those that wait for a result included.
const AT_ONCE: usize = 4096;

/// By which endpoint a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Ask(Ask),
    /// That of any start at all, to answer those that nobody serves.
    LookOut,
}

type Requests = SelectAll<futures::stream::BoxStream<'static, (Door, Request)>>;

/// A service that is running. Dropping it ends it at once; [`stop`](Self::stop) lets it finish.
#[derive(Debug)]
pub struct ServiceHandle {
    service: Option<Service>,
    /// No more requests are taken.
    closing: CancellationToken,
    /// Requests that still wait are answered with an error.
    hurry: CancellationToken,
    task: Option<AbortOnDropHandle<()>>,
}

/// Serves an API to every NATS client of the namespace. `workflows` are those that this host serves; it should have
/// [announced](jetway_engine::backend::Hosts::announce) itself, or other hosts may answer that nobody serves them.
///
/// # Errors
/// When the connection is closed, or the server does not allow the subscriptions.
pub async fn serve(
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    workflows: &[WorkflowName],
) -> Result<ServiceHandle, BackendError> {
    let client = backend.link.client.clone();
    let service = client
        .service_builder()
        .description("Jetway: starts workflows and tells about their runs")
        .queue_group(SERVICE_QUEUE)
        .metadata([("namespace".to_owned(), backend.namespace().to_string())].into())
        .start(SERVICE, env!("CARGO_PKG_VERSION"))
        .await
        .map_err(|error| not_served(&error))?;
    let requests =
        endpoints(&service, &backend.names, workflows).await.map_err(|error| not_served(&error))?;
    // The server handles what a connection says in order: with this answer it knows the subscriptions.
    backend.link.round_trip().await.map_err(|failure| failure.cannot("offer the service"))?;
    let (closing, hurry) = (CancellationToken::new(), CancellationToken::new());
    let answerer = Arc::new(Answerer::new(backend, api));
    let task = tokio::spawn(run(requests, answerer, closing.clone(), hurry.clone()));
    Ok(ServiceHandle { service: Some(service), closing, hurry, task: Some(AbortOnDropHandle::new(task)) })
}

fn not_served(error: &async_nats::Error) -> BackendError {
    BackendError::new(
        BackendErrorKind::Unavailable,
        format!("the service {SERVICE} cannot be offered: {error}"),
    )
}

async fn endpoints(
    service: &Service,
    names: &Names,
    workflows: &[WorkflowName],
) -> Result<Requests, async_nats::Error> {
    let mut requests = Requests::new();
    let mut add =
        |door: Door, endpoint: Endpoint| requests.push(endpoint.map(move |request| (door, request)).boxed());
    let endpoint = |name: &str| service.endpoint_builder().name(name);
    for workflow in workflows {
        let workflow = workflow.as_str();
        let name = format!("{}-{workflow}", Ask::Start.verb());
        add(Door::Ask(Ask::Start), endpoint(&name).add(names.api(Ask::Start, &[workflow])).await?);
    }
    let any = endpoint(Ask::Start.verb()).queue_group(LOOK_OUT_QUEUE);
    add(Door::LookOut, any.add(names.api(Ask::Start, &["*"])).await?);
    let run: &[&str] = &["*", "*"];
    let control = |control| (Ask::Control(control), run);
    let others = [
        (Ask::Status, run),
        control(Control::Cancel),
        control(Control::Pause),
        control(Control::Resume),
        (Ask::Runs, &[]),
        (Ask::Workflows, &[]),
    ];
    for (ask, words) in others {
        add(Door::Ask(ask), endpoint(ask.verb()).add(names.api(ask, words)).await?);
    }
    Ok(requests)
}

async fn run(
    mut requests: Requests,
    answerer: Arc<Answerer>,
    closing: CancellationToken,
    hurry: CancellationToken,
) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(ended) = answers.join_next() => report(ended),
            request = requests.next() => match request {
                Some((door, request)) if answers.len() < AT_ONCE => {
                    let (answerer, hurry) = (Arc::clone(&answerer), hurry.clone());
                    answers.spawn(async move {
                        tokio::select! {
                            biased;
                            answer = answerer.answer(door, &request.message) => respond(&request, answer).await,
                            () = hurry.cancelled() => respond(&request, Some(Err(stopping()))).await,
                        }
                    });
                }
                Some((Door::LookOut, _)) => {}
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
        tracing::debug!(%error, subject = %request.message.subject, "a request cannot be answered");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the answer to a request was broken off");
    }
}

fn stopping() -> ApiError {
    ApiError::new(503, "the host that has this request is shutting down: ask again")
}

fn busy() -> ApiError {
    ApiError::new(
        BUSY,
        format!("the host that has this request answers {AT_ONCE} others: ask again in a moment"),
    )
}

impl ServiceHandle {
    /// Takes no more requests, lets those that are being answered go on for `grace`, and answers the rest with an error.
    pub async fn stop(mut self, grace: Duration) {
        self.end_subscriptions();
        self.closing.cancel();
        let Some(mut task) = self.task.take() else { return };
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return;
        }
        self.hurry.cancel();
        report(task.await);
    }

    fn end_subscriptions(&mut self) {
        let stopped = self.service.take().and_then(|service| service.stop().now_or_never());
        if let Some(Err(error)) = stopped {
            tracing::debug!(%error, "the service was stopped before");
        }
    }
}

impl Drop for ServiceHandle {
    fn drop(&mut self) {
        // The client's own task of the service would outlive it otherwise.
        self.end_subscriptions();
    }
}
