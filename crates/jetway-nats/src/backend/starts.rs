//! Start messages: published by any client, processed by one coordinator each.

use super::{NatsBackend, start_message};
use crate::{
    committer::{Condition, Write},
    dead_letters::{dead_letter_of, sender_headers},
    headers::run_id_of,
    names::{self, Names, subject_token},
    pull::{LeasedMessage, Source},
    session::{
        Failure,
        api::{self, RawOrParsed},
        direct, is_unreachable,
    },
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jetway_engine::{
    backend::{BackendError, DeadLetter, StartDelivery, StartRequest, Starts},
    tell_refused,
};
use jetway_state::WorkflowName;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The reason of a dead letter that holds a start message of an unknown workflow.
const UNKNOWN_WORKFLOW: &str = "unknown-workflow";

#[async_trait]
impl Starts for NatsBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<u64, BackendError> {
        let workflow = subject_token("the workflow name", &request.workflow)?;
        self.check_set_up().await?;
        let write = Write {
            subject: self.names.start(workflow).into(),
            payload: request.input.clone(),
            condition: Condition::Always(start_message::headers(request)),
        };
        let stored = self.committers.starts.write(write).await;
        stored.map_err(|error| {
            error.error_of(format!("the start message of run {workflow}/{}", request.run_id))
        })
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
        let pull = self.pull_of_clients(source, slots).await?;
        let workflow = workflow.to_string();
        Ok(stream::unfold((pull, workflow), |(mut pull, workflow)| async move {
            let leased = pull.next().await?;
            Some((leased.map(|leased| delivery_of(leased, &workflow)), (pull, workflow)))
        })
        .boxed())
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        let failed = |failure: Failure| failure.cannot("look for start messages of unknown workflows");
        let stream = &self.streams.starts;
        let filter = self.names.stream_subjects(names::Stream::Starts);
        let waiting = api::subjects(&self.connection, stream, &filter).await.map_err(failed)?;
        if waiting.is_empty() {
            return Ok(0);
        }
        // Every workflow that a host has ever served has a consumer.
        let consumers = api::consumer_names(&self.connection, stream).await.map_err(failed)?;
        let served: BTreeSet<String> = consumers.into_iter().collect();
        let mut moved = 0;
        for subject in waiting.keys() {
            let workflow = self.names.workflow_of_start(subject).unwrap_or_default();
            if !served.contains(&Names::start_consumer(workflow)) {
                match self.dead_letter_starts(subject, workflow, grace).await {
                    Ok(found) => moved += found,
                    Err(error) if is_unreachable(&error) => return Err(error),
                    // One workflow keeps nobody from the starts of the others.
                    Err(error) => tracing::warn!(workflow, %error, "cannot move start messages"),
                }
            }
        }
        Ok(moved)
    }
}

impl NatsBackend {
    /// The number of start messages of a workflow that no host has processed.
    ///
    /// # Errors
    /// The server does not answer, or refuses the request.
    pub async fn waiting_starts(&self, workflow: &WorkflowName) -> Result<u64, BackendError> {
        let subject = self.names.start(workflow.as_str());
        let found = api::subjects(&self.connection, &self.streams.starts, &subject).await;
        let found = found.map_err(|failure| failure.cannot(format!("count start messages of {workflow}")))?;
        Ok(found.values().sum())
    }

    /// Moves the start messages of a subject that are older than `grace` to the dead letters. Returns their number.
    async fn dead_letter_starts(
        &self,
        subject: &str,
        workflow: &str,
        grace: Duration,
    ) -> Result<u64, BackendError> {
        let failed = |failure: Failure| {
            failure.cannot(format!("move start messages of workflow {workflow} to the dead letters"))
        };
        let (connection, stream) = (&self.connection, &self.streams.starts);
        let end = direct::server_time(connection.server_time().before(grace)).map_err(failed)?;
        let (mut moved, mut from) = (0, 1);
        let next = async |from| api::first_from(connection, stream, subject, from).await.map_err(failed);
        while let Some(RawOrParsed { message, raw_headers }) = next(from).await? {
            if message.time > end {
                break;
            }
            let reason = format!(
                "no host has ever served a workflow named {workflow:?}: check the name, or start a host that serves it"
            );
            let mut headers = sender_headers(Some(&message.headers));
            headers.extend(raw_headers.map(|headers| (names::ORIGINAL_HEADERS.to_string(), headers)));
            let run_id = run_id_of(&message.headers).map(ToOwned::to_owned);
            let letter = DeadLetter {
                workflow: workflow.to_owned(),
                why: UNKNOWN_WORKFLOW.to_owned(),
                reason: reason.clone(),
                subject: subject.to_owned(),
                headers,
                payload: message.payload,
                id: format!("start-{}", message.sequence),
            };
            self.dead_letters.store(letter).await?;
            if let Some(run_id) = run_id {
                tell_refused(self, workflow, &run_id, message.sequence, UNKNOWN_WORKFLOW, reason).await;
            }
            api::delete_message(connection, stream, message.sequence).await.map_err(failed)?;
            from = message.sequence + 1;
            moved += 1;
        }
        Ok(moved)
    }
}

fn delivery_of(leased: LeasedMessage, workflow: &str) -> StartDelivery {
    jetway_state::hop!("delivery_of");
    let LeasedMessage { message, delivery, lease, slot } = leased;
    let original = dead_letter_of(&message, workflow, format!("start-{}", delivery.sequence));
    let sequence = delivery.sequence;
    let request = start_message::request_of(message, &delivery, workflow);
    StartDelivery { request, lease, slot, original, sequence }
}
