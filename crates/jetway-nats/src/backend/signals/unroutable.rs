//! Signals of workflows that no host has ever served.

use crate::{
    backend::NatsBackend,
    dead_letters::sender_headers,
    names::{Names, ORIGINAL_HEADERS},
    session::{
        Failure,
        api::{self, RawOrParsed},
        direct, is_unreachable,
    },
};
use jetway_engine::backend::{BackendError, DeadLetter};
use std::{collections::BTreeSet, time::Duration};

/// The reason of a dead letter that holds a signal of an unknown workflow.
const UNKNOWN_WORKFLOW: &str = "unknown-workflow";

impl NatsBackend {
    /// Moves the signals to the dead letters that are older than `grace`, and whose workflow no host has ever served. Returns their
    /// number.
    pub(in crate::backend) async fn dead_letter_unroutable_signals(
        &self,
        grace: Duration,
    ) -> Result<u64, BackendError> {
        let failed = |failure: Failure| failure.cannot("look for signals of unknown workflows");
        let (stream, filter) = (&self.streams.signals, self.names.all_signals());
        let waiting = api::subjects(&self.connection, stream, &filter).await.map_err(failed)?;
        if waiting.is_empty() {
            return Ok(0);
        }
        // Every workflow that a host has ever served has a consumer.
        let consumers = api::consumer_names(&self.connection, stream).await.map_err(failed)?;
        let served: BTreeSet<String> = consumers.into_iter().collect();
        let workflow_of = |subject: &String| self.names.workflow_of_signal(subject).map(ToOwned::to_owned);
        let workflows: BTreeSet<String> = waiting.keys().filter_map(workflow_of).collect();
        let mut moved = 0;
        for workflow in workflows {
            if served.contains(&Names::signal_consumer(&workflow)) {
                continue;
            }
            match self.dead_letter_signals(&workflow, grace).await {
                Ok(found) => moved += found,
                Err(error) if is_unreachable(&error) => return Err(error),
                // One workflow keeps nobody from the signals of the others.
                Err(error) => tracing::warn!(workflow, %error, "cannot move signals"),
            }
        }
        Ok(moved)
    }

    async fn dead_letter_signals(&self, workflow: &str, grace: Duration) -> Result<u64, BackendError> {
        let failed = |failure: Failure| {
            failure.cannot(format!("move signals of workflow {workflow} to the dead letters"))
        };
        let (connection, stream) = (&self.connection, &self.streams.signals);
        let filter = self.names.signals_of_workflow(workflow);
        let end = direct::server_time(connection.server_time().before(grace)).map_err(failed)?;
        let (mut moved, mut from) = (0, 1);
        let next = async |from| api::first_from(connection, stream, &filter, from).await.map_err(failed);
        while let Some(found) = next(from).await? {
            if found.message.time > end {
                break;
            }
            let sequence = found.message.sequence;
            from = sequence + 1;
            self.dead_letters.store(letter_of(found, workflow)).await?;
            api::delete_message(connection, stream, sequence).await.map_err(failed)?;
            moved += 1;
        }
        Ok(moved)
    }
}

fn letter_of(RawOrParsed { message, raw_headers }: RawOrParsed, workflow: &str) -> DeadLetter {
    let mut headers = sender_headers(Some(&message.headers));
    headers.extend(raw_headers.map(|raw| (ORIGINAL_HEADERS.to_string(), raw)));
    DeadLetter {
        workflow: workflow.to_owned(),
        why: UNKNOWN_WORKFLOW.to_owned(),
        reason: format!(
            "no host has ever served a workflow named {workflow:?}: check the name, or start a host that serves it"
        ),
        subject: message.subject.to_string(),
        headers,
        payload: message.payload,
        id: format!("signal-{}-{}", message.sequence, message.time.unix_timestamp_nanos()),
    }
}
