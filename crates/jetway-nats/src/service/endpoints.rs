//! The endpoints of the service: their subjects, and how many requests each has answered.

use super::Endpoint;
use crate::names::{ApiMethod, Names, SERVICE_QUEUE, UNKNOWN_WORKFLOW_QUEUE};
use async_nats::{Client, Message, SubscribeError};
use futures::{StreamExt as _, stream::BoxStream, stream::SelectAll};
use jetway_engine::{Control, api::ApiError};
use jetway_state::WorkflowName;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The requests of all endpoints.
pub(super) type Requests = SelectAll<BoxStream<'static, (Arc<OfferedEndpoint>, Message)>>;

/// One endpoint, as service discovery shows it.
#[derive(Debug)]
pub(super) struct OfferedEndpoint {
    pub(super) endpoint: Endpoint,
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) queue_group: &'static str,
    counts: Mutex<Counts>,
}

/// What was answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) processing_time: Duration,
    pub(super) last_error: Option<ApiError>,
}

impl OfferedEndpoint {
    fn new(endpoint: Endpoint, name: String, subject: String) -> Arc<Self> {
        let queue_group = match endpoint {
            Endpoint::Method(_) => SERVICE_QUEUE,
            Endpoint::UnknownWorkflow => UNKNOWN_WORKFLOW_QUEUE,
        };
        Arc::new(Self { endpoint, name, subject, queue_group, counts: Mutex::default() })
    }

    /// Counts a request that was answered.
    pub(super) fn count(&self, took: Duration, error: Option<&ApiError>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        counts.processing_time += took;
        if let Some(error) = error {
            counts.errors += 1;
            counts.last_error = Some(error.clone());
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The endpoints of a host that serves these workflows.
pub(super) fn offered(names: &Names, workflows: &[WorkflowName]) -> Vec<Arc<OfferedEndpoint>> {
    let start = ApiMethod::Start;
    let run: &[&str] = &["*", "*"];
    // A request about one workflow reaches a host that serves it.
    let of_workflow: [(_, &[&str]); 4] = [
        (start, &[]),
        (ApiMethod::Workflow, &[]),
        (ApiMethod::Signal, run),
        (ApiMethod::SignalWithStart, run),
    ];
    let mut offered: Vec<_> = of_workflow
        .into_iter()
        .flat_map(|method| workflows.iter().map(move |workflow| (method, workflow)))
        .map(|((method, rest), workflow)| {
            let name = format!("{}-{workflow}", method.verb());
            let tokens = [&[workflow.as_str()], rest].concat();
            OfferedEndpoint::new(Endpoint::Method(method), name, names.api(method, &tokens))
        })
        .collect();
    let all_starts = names.api(start, &["*"]);
    offered.push(OfferedEndpoint::new(Endpoint::UnknownWorkflow, start.verb().to_owned(), all_starts));
    let control = |control| (ApiMethod::Control(control), run);
    let others = [
        (ApiMethod::Status, run),
        (ApiMethod::Output, run),
        control(Control::Cancel),
        control(Control::Terminate),
        control(Control::Pause),
        control(Control::Resume),
        (ApiMethod::Retry, run),
        (ApiMethod::Runs, &[]),
        (ApiMethod::Workflows, &[]),
    ];
    offered.extend(others.into_iter().map(|(method, tokens)| {
        let (name, subject) = (method.verb().to_owned(), names.api(method, tokens));
        OfferedEndpoint::new(Endpoint::Method(method), name, subject)
    }));
    offered
}

/// Subscribes to the requests of the endpoints.
pub(super) async fn subscribe(
    client: &Client,
    offered: &[Arc<OfferedEndpoint>],
) -> Result<Requests, SubscribeError> {
    let mut requests = Requests::new();
    for endpoint in offered {
        let queue_group = endpoint.queue_group.to_owned();
        let messages = client.queue_subscribe(endpoint.subject.clone(), queue_group).await?;
        let endpoint = Arc::clone(endpoint);
        requests.push(messages.map(move |message| (Arc::clone(&endpoint), message)).boxed());
    }
    Ok(requests)
}
