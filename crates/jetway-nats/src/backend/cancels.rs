//! Telling all hosts that a run is cancelled, by a core message: one subscription for each host.
//!
//! A message that gets lost delays what it is for, and nothing else: the record says that the run is cancelled.

use super::NatsBackend;
use crate::{
    names::Names,
    session::{Backoff, Connection, RenewedConnection, api},
};
use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind, CancelBoard, CancelNews, Cancels};
use jetway_state::{Incarnation, RunId, RunKey};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A message is a few dozen bytes. What is larger is not from a host.
const MAX_BYTES: usize = 1024;

/// The message. Its workflow is in the subject.
#[derive(Debug, Serialize, Deserialize)]
struct Cancelled {
    run_id: RunId,
    incarnation: Incarnation,
}

/// What this host hears of cancelled runs.
#[derive(Debug, Default)]
pub(super) struct CancelEvents {
    board: CancelBoard,
    /// Listens as soon as this host takes tickets.
    task: OnceCell<ListeningTask>,
}

/// The task that listens. It ends with this.
#[derive(Debug)]
struct ListeningTask {
    _task: AbortOnDropHandle<()>,
}

#[async_trait]
impl Cancels for NatsBackend {
    async fn tell_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        // The nodes of this host need not wait for the server.
        self.cancels.board.tell(run, incarnation);
        let failed = || {
            BackendError::new(
                BackendErrorKind::Unavailable,
                format!("cannot tell that run {run} is cancelled"),
            )
        };
        let payload = serde_json::to_vec(&Cancelled { run_id: run.run_id.clone(), incarnation })
            .map_err(|error| failed().caused_by(error))?;
        let subject = self.names.cancelled(run.workflow.as_str());
        let sent = self.connection.client.publish(subject, payload.into()).await;
        sent.map_err(|error| failed().caused_by(error))
    }

    fn hear_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> CancelNews {
        self.cancels.board.hear(run, incarnation)
    }
}

impl NatsBackend {
    /// Begins to listen, unless that was done. Returns when the server knows it, or has refused it.
    pub(super) async fn listen_for_cancels(&self) {
        let start = async || {
            let (names, board) = (self.names.clone(), self.cancels.board.clone());
            let connection = Arc::clone(&self.for_clients);
            let first = subscribe(&connection, &names).await;
            let listening = Listening { names, board, connection };
            ListeningTask { _task: AbortOnDropHandle::new(tokio::spawn(listening.run(first))) }
        };
        self.cancels.task.get_or_init(start).await;
    }
}

/// What the task needs. Any client may send such a message, so it listens where all other messages of clients arrive.
struct Listening {
    names: Names,
    board: CancelBoard,
    connection: Arc<RenewedConnection>,
}

impl Listening {
    async fn run(self, first: Result<Subscribed, BackendError>) {
        let (mut next, mut backoff) = (first, Backoff::new(FIRST_DELAY, LONGEST_DELAY));
        loop {
            match next {
                Ok(mut subscribed) => {
                    while let Some(message) = subscribed.messages.next().await {
                        self.take(&message);
                        backoff.reset();
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot hear which runs are cancelled: trying again"),
            }
            backoff.wait().await;
            next = subscribe(&self.connection, &self.names).await;
        }
    }

    fn take(&self, message: &Message) {
        let workflow = self.names.workflow_of_cancelled(&message.subject);
        let cancelled = match message.payload.len() {
            0..=MAX_BYTES => serde_json::from_slice(&message.payload).ok(),
            _ => None,
        };
        match (workflow, cancelled) {
            (Some(workflow), Some(Cancelled { run_id, incarnation })) => {
                self.board.tell(&RunKey::new(workflow, run_id), incarnation);
            }
            _ => {
                tracing::debug!(subject = %message.subject, "dropped a message that tells of no cancelled run")
            }
        }
    }
}

/// A subscription, with its connection.
struct Subscribed {
    messages: Subscriber,
    _connection: Arc<Connection>,
}

async fn subscribe(connection: &RenewedConnection, names: &Names) -> Result<Subscribed, BackendError> {
    let connection = connection.get().await?;
    let what = "hear which runs are cancelled";
    let messages = connection.client.subscribe(names.all_cancelled()).await.map_err(|error| {
        BackendError::new(BackendErrorKind::Unavailable, format!("cannot {what}")).caused_by(error)
    })?;
    // The server processes a connection in order: when it replies to this, it has processed the subscription.
    api::round_trip(&connection).await.map_err(|failure| failure.cannot(what))?;
    Ok(Subscribed { messages, _connection: connection })
}
