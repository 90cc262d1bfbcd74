//! Start messages: published by any client, processed by one coordinator each.

use super::{NatsBackend, start_message};
use crate::{
    committer::{Condition, Write},
    dead_letters::dead_letter_of,
    headers::{chosen_start_id, run_id_of},
    names::{self, Names, subject_token},
    pull::{DeliveryInfo, LeasedMessage, Source},
    read_start::{ReadStart, letter_id, start_id_of},
    session::{Failure, api, direct, is_unreachable},
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jetway_engine::backend::{BackendError, StartDelivery, StartRequest, Starts};
use jetway_state::{RunKey, StartId, StartMessage, WorkflowName};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The reason of a dead letter that holds a start message of an unknown workflow.
const UNKNOWN_WORKFLOW: &str = "unknown-workflow";

/// How many start messages are read to find that of a run.
const MOST_STARTS_READ: usize = 64;

#[async_trait]
impl Starts for NatsBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<StartMessage, BackendError> {
        let workflow = subject_token("the workflow name", &request.workflow)?;
        self.check_set_up().await?;
        let start_id = StartId::from_random(rand::random());
        let mut headers = start_message::headers(request);
        headers.insert(names::START_ID, start_id.to_string());
        let write = Write {
            subject: self.names.start(workflow).into(),
            payload: request.input.clone(),
            condition: Condition::Always(headers),
        };
        let sequence = self.committers.starts.write(write).await.map_err(|error| {
            error.error_of(format!("the start message of run {workflow}/{}", request.run_id))
        })?;
        Ok(StartMessage { sequence, start_id })
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
        let filter = self.names.all_starts();
        let waiting = api::subjects(&self.connection, stream, &filter).await.map_err(failed)?;
        // Signals wait for unknown workflows as well.
        let mut moved = self.dead_letter_unroutable_signals(grace).await?;
        if waiting.is_empty() {
            return Ok(moved);
        }
        // Every workflow that a host has ever served has a consumer.
        let consumers = api::consumer_names(&self.connection, stream).await.map_err(failed)?;
        let served: BTreeSet<String> = consumers.into_iter().collect();
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
    /// Whether a start message of this run waits for a host. If very many messages of its workflow wait, it may be one of them.
    ///
    /// # Errors
    /// The server does not answer, or refuses the request.
    pub async fn may_wait_to_start(&self, run: &RunKey) -> Result<bool, BackendError> {
        let subject = self.names.start(run.workflow.as_str());
        let mut from = 1;
        for _ in 0..MOST_STARTS_READ {
            let found = api::first_from(&self.connection, &self.streams.starts, &subject, from).await;
            let found =
                found.map_err(|failure| failure.cannot(format!("look for start messages of {run}")))?;
            let Some(found) = found else { return Ok(false) };
            if run_id_of(&found.message.headers) == Some(run.run_id.as_str()) {
                return Ok(true);
            }
            from = found.message.sequence + 1;
        }
        Ok(true)
    }

    /// Whether a start message has left the stream, since a host has started its run or refused it.
    ///
    /// False as well if the stream was made again, as far as that can be seen: nothing is known of the message then, and a run that
    /// is there must not be taken for its own.
    pub(super) async fn has_settled(
        &self,
        workflow: &WorkflowName,
        start: StartMessage,
    ) -> Result<bool, BackendError> {
        let sequence = start.sequence;
        let failed = |failure: Failure| {
            failure.cannot(format!("look whether start message {sequence} of workflow {workflow} is settled"))
        };
        let stream = &self.streams.starts;
        let found = api::message(&self.connection, stream, sequence).await.map_err(failed)?;
        if found.is_some() {
            return Ok(false);
        }
        let last = api::stream_info(&self.connection, stream).await.map_err(failed)?.state.last_seq;
        Ok(last >= sequence)
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
        while let Some(found) = next(from).await? {
            if found.message.time > end {
                break;
            }
            let start = ReadStart::of(found);
            let reason = format!(
                "no host has ever served a workflow named {workflow:?}: check the name, or start a host that serves it"
            );
            from = start.sequence + 1;
            let (why, sequence) = (UNKNOWN_WORKFLOW, start.sequence);
            if let Some(refused) = start.refused(workflow, why, &reason) {
                self.results.refuse(refused).await?;
            }
            self.dead_letters.store(start.into_letter(workflow, why, reason)).await?;
            api::delete_message(connection, stream, sequence).await.map_err(failed)?;
            moved += 1;
        }
        Ok(moved)
    }
}

fn delivery_of(leased: LeasedMessage, workflow: &str) -> StartDelivery {
    jetway_state::hop!("delivery_of");
    let LeasedMessage { message, delivery, lease, slot } = leased;
    let DeliveryInfo { sequence, published, .. } = delivery;
    let original = dead_letter_of(&message, workflow, letter_id(sequence, published));
    let chosen = message.headers.as_ref().and_then(chosen_start_id);
    let start_id = start_id_of(chosen, sequence, published);
    let request = start_message::request_of(message, &delivery, workflow);
    StartDelivery { request, lease, slot, original, start_id }
}
