//! The NATS micro service `jetway`: hosts answer requests of any NATS client.
//!
//! | subject | payload and headers | reply |
//! |---|---|---|
//! | `jetway.ns.api.start.<workflow>` | the input, JSON or CBOR (`Content-Type`); `Jetway-Run-Id`, `Jetway-Start-At`, `Jetway-Deadline: 10m`, `Jetway-Wait: 30s` (60s at most), `traceparent` | `{"run_id", "incarnation"}`, or the result |
//! | `jetway.ns.api.status.<workflow>.<run_id>` | - | the status of the run. An output above 64 KiB is left out (`left_out`) |
//! | `jetway.ns.api.output.<workflow>.<run_id>` | nothing, or `{"output", "offset", "limit", "incarnation"}` | a page of an output: `{"bytes", "offset", "text", "next", ..}`. The `text`s of all pages are the JSON |
//! | `jetway.ns.api.cancel.<workflow>.<run_id>`, `.terminate.`, `.pause.`, `.resume.` | - | `{"run_id", "status", "changed"}`; error 409 if the run has ended, or is being cancelled and should be paused or resumed |
//! | `jetway.ns.api.signal.<workflow>.<run_id>.<name>` | the payload of the signal; `Nats-Msg-Id` or `Jetway-Signal-Id`, `Jetway-Incarnation`, `Content-Type` | `{"run_id", "name", "applied", "verdict"}` when it was applied: `taken`, `kept` or `duplicate`; error 404 if there is no run, 409 if it has ended |
//! | `jetway.ns.api.signal_with_start.<workflow>.<run_id>.<name>` | `{"input", "payload"}`; the headers of a signal, `Jetway-Start-At`, `Jetway-Deadline`, `traceparent` | as for a signal; `started` is true if there was no run, and the run that was started has the signal |
//! | `jetway.ns.api.runs` | nothing, or `{"workflow", "status", "limit", "after"}` | a page of runs, the one that changed last first; `scanned` is how many were looked at, `unreadable` lists those whose records cannot be decoded |
//! | `jetway.ns.api.workflows` | - | the workflows of the host that answers |
//! | `jetway.ns.api.workflow.<workflow>` | - | the workflow, from a host that serves it |
//!
//! Each workflow has an endpoint of its own, so that a request reaches a host that serves it. Another endpoint receives the
//! starts of all workflows and refuses those that no host serves. It is in a queue group of its own, because the members of
//! one queue group share messages whatever their subjects are.
//!
//! Each verb has a budget of requests and bytes, and starts that wait for a result have one of their own. A wait is short: the
//! client asks again, since a host cannot know whether anybody still listens.
//!
//! Answers go to inboxes only. A request that names another reply subject is dropped: the server does not check whether the
//! client may publish there, and the host may.

pub(crate) mod answer;
mod budgets;
pub(crate) mod client;
mod discovery;
mod endpoints;
mod replies;
mod subscriptions;
mod unknown_workflow;
mod wait;

pub use client::{BUSY, HostsClient, NO_ANSWER, NO_HOST};

use crate::{
    backend::NatsBackend,
    headers::one_line,
    names::{ApiMethod, SERVICE_ERROR, SERVICE_ERROR_CODE},
};
use answer::Answerer;
use async_nats::{HeaderMap, Message};
use budgets::Budgets;
use bytes::Bytes;
use discovery::Discovery;
use endpoints::OfferedEndpoint;
use futures::future::BoxFuture;
use jetway_engine::backend::{Api, ApiError, BackendError};
use jetway_state::WorkflowName;
use replies::{Replies, ReplyTo};
use std::{sync::Arc, time::Duration};
use subscriptions::{Received, Subscriptions};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The longest sentence of an error, in bytes.
const LONGEST_ERROR: usize = 4096;

/// The endpoint that received a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Method(ApiMethod),
    /// It receives the starts of all workflows, to refuse those that no host serves.
    UnknownWorkflow,
}

/// A running service. Dropping it ends it at once. [`stop`](Self::stop) lets it finish its requests.
#[derive(Debug)]
pub struct ServiceHandle {
    replies: Arc<Replies>,
    budgets: Arc<Budgets>,
    /// Cancelled when no more requests are accepted.
    closing: CancellationToken,
    /// Cancelled when requests that still wait are answered with an error.
    abort: CancellationToken,
    task: Option<AbortOnDropHandle<()>>,
}

/// What a service has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// Requests that were dropped, because their reply subject is no inbox.
    pub refused_replies: u64,
    /// Requests that were refused, because there were too many others of their kind.
    pub busy: u64,
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
    let connection = backend.connection();
    let replies = Arc::new(Replies::new(connection.client.clone(), backend.reply_prefixes().clone()));
    let offered = endpoints::offered(backend.names(), workflows);
    let (namespace, now) = (backend.namespace().clone(), connection.clock().now());
    let discovery = Discovery::new(namespace, now, offered, Arc::clone(&replies));
    let subscriptions = Subscriptions::new(&backend, &discovery).await?;
    let (closing, abort) = (CancellationToken::new(), CancellationToken::new());
    let budgets = Arc::new(Budgets::new());
    let task = Serving {
        budgets: Arc::clone(&budgets),
        answerer: Arc::new(Answerer::new(Arc::clone(&backend), api)),
        backend,
        discovery,
        replies: Arc::clone(&replies),
        abort: abort.clone(),
        answers: JoinSet::new(),
    };
    let task = tokio::spawn(task.run(subscriptions, closing.clone()));
    Ok(ServiceHandle { replies, budgets, closing, abort, task: Some(AbortOnDropHandle::new(task)) })
}

/// The task of a service.
struct Serving {
    backend: Arc<NatsBackend>,
    budgets: Arc<Budgets>,
    answerer: Arc<Answerer>,
    discovery: Discovery,
    replies: Arc<Replies>,
    abort: CancellationToken,
    answers: JoinSet<()>,
}

impl Serving {
    async fn run(mut self, mut subscriptions: Subscriptions, closing: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                Some(ended) = self.answers.join_next() => report(ended),
                received = subscriptions.next() => match received {
                    Some(Received::Request(endpoint, message)) => self.accept(endpoint, message).await,
                    Some(Received::Question(verb, question)) => self.discovery.answer(verb, &question).await,
                    None => {
                        tracing::warn!("the connection for clients has ended: making a new one");
                        let again = Subscriptions::again(&self.backend, &self.discovery);
                        match closing.run_until_cancelled(again).await {
                            Some(again) => subscriptions = again,
                            None => break,
                        }
                    }
                },
            }
        }
        drop(subscriptions);
        while let Some(ended) = self.answers.join_next().await {
            report(ended);
        }
    }

    /// Starts to answer a request.
    async fn accept(&mut self, endpoint: Arc<OfferedEndpoint>, message: Message) {
        let Some(to) = self.replies.of(&message) else { return };
        let request = Request { endpoint, to, received: Instant::now(), replies: Arc::clone(&self.replies) };
        let kind = request.endpoint.endpoint;
        let waits = kind == Endpoint::Method(ApiMethod::Start) && answer::waits(&message, &request.to);
        let admission = match self.budgets.admit(kind, waits, &message) {
            Ok(admission) => admission,
            Err(busy) => {
                // Another host may serve the workflow.
                if kind != Endpoint::UnknownWorkflow {
                    request.respond(Err(busy)).await;
                }
                return;
            }
        };
        let (answerer, abort) = (Arc::clone(&self.answerer), self.abort.clone());
        self.answers.spawn(async move {
            tokio::select! {
                biased;
                answer = answerer.answer(kind, waits, message) => {
                    if let Some(answer) = answer {
                        request.respond(answer).await;
                    }
                }
                () = abort.cancelled() => request.respond(Err(stopping())).await,
            }
            drop(admission);
        });
    }
}

/// A request that is being answered.
struct Request {
    endpoint: Arc<OfferedEndpoint>,
    to: ReplyTo,
    received: Instant,
    replies: Arc<Replies>,
}

impl Request {
    async fn respond(&self, answer: Result<Bytes, ApiError>) {
        self.endpoint.count(self.received.elapsed(), answer.as_ref().err());
        let (headers, payload) = match answer {
            Ok(payload) => (HeaderMap::new(), payload),
            Err(error) => (error_headers(&error), Bytes::new()),
        };
        self.replies.send(&self.to, headers, payload).await;
    }
}

fn error_headers(error: &ApiError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // The message may quote text of the request, and an answer that is too large would cost the connection.
    let end = error.message.floor_char_boundary(LONGEST_ERROR);
    headers.insert(SERVICE_ERROR, one_line(&error.message[..end]).as_str());
    headers.insert(SERVICE_ERROR_CODE, error.code.to_string().as_str());
    headers
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task that answers a request has failed");
    }
}

fn stopping() -> ApiError {
    ApiError::new(503, "the host is shutting down: try again")
}

impl ServiceHandle {
    /// What the service has done.
    pub fn status(&self) -> ServiceStatus {
        ServiceStatus { refused_replies: self.replies.refused(), busy: self.budgets.refused() }
    }

    /// Accepts no more requests, gives those that are in progress `grace` to finish, and answers the rest with an error.
    pub async fn stop(mut self, grace: Duration) {
        self.closing.cancel();
        let Some(mut task) = self.task.take() else { return };
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return;
        }
        self.abort.cancel();
        report(task.await);
    }
}
