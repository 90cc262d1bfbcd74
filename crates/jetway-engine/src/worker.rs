//! The worker: the commit protocol, for one ticket.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | taking the ticket, running the node | nothing changed | redelivery: the node runs again |
//! | the commit | the step is committed, its successors have no ticket | redelivery: the item is done; the items that were committed under this ticket get tickets |
//! | the commit that records a child run | the child does not exist, or is not known to | redelivery: the node runs again, names the same child, and starts it |
//! | the effects | complete; some tickets are published twice | the second ticket finds its item done |
//! | the ack | complete | - |

mod attempt;
mod child;
mod child_group;
mod clean_up;
mod count;
mod heartbeat;
mod recover;
mod session;
mod unprocessable;
mod wait;

use crate::{
    backend::{Backend, BackendError, Delivery, Lease},
    commit::Committer,
    config::EngineConfig,
    dispatch::Dispatcher,
    fail_point::{FailPoint, fail_point},
    registry::Registry,
    signals::Applier,
    snapshots::Snapshots,
    starts::Starter,
    tickets::Tickets,
    trace::Tracer,
    wait_for_build::is_about_data,
};
use jetway_core::clock::Clock;
use session::{NextAction, TicketSession};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The outcome of a ticket.
#[derive(Debug)]
pub enum TicketOutcome {
    /// It is acked.
    Acked {
        /// Steps that were committed under it.
        steps: u64,
    },
    /// It is given back, because the worker has to stop, or for a host of another build.
    Nacked {
        /// Steps that were committed under it.
        steps: u64,
    },
    /// The backend does not answer: the ticket is delivered again when its lease expires.
    Abandoned {
        /// Steps that were committed under it.
        steps: u64,
        /// What went wrong.
        error: BackendError,
    },
}

/// Runs steps.
pub(crate) struct Worker {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Arc<EngineConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tracer: Arc<dyn Tracer>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) starter: Arc<Starter>,
    pub(crate) signals: Arc<Applier>,
    pub(crate) committer: Committer,
    /// The name of this host, for records.
    pub(crate) host: Arc<str>,
}

impl Worker {
    /// Runs the item of a ticket and commits its outcome, then continues with its only successor under the same ticket as
    /// long as there is one. Acks the ticket, or gives it back when `cancel` is cancelled.
    ///
    /// The caller extends the lease meanwhile.
    pub(crate) async fn process_ticket(
        &self,
        delivery: Delivery,
        cancel: CancellationToken,
    ) -> TicketOutcome {
        jetway_state::hop!("Worker::process_ticket");
        let run = delivery.ticket.run();
        let Some(workflow) = self.registry.get(run.workflow.as_str()).map(Arc::clone) else {
            return nak(&*delivery.lease, 0).await;
        };
        fail_point(FailPoint::TicketTaken);
        let mut session = TicketSession::new(self, &*workflow, &run, &delivery, &cancel);
        let ended = match session.run().await {
            Err(error) if is_about_data(error.kind()) => Box::pin(session.go_on_after(error)).await,
            ended => ended,
        };
        let steps = session.steps();
        match ended {
            Ok(NextAction::Ack | NextAction::Attempt(_)) => ack(&*delivery.lease, steps).await,
            Ok(NextAction::Park(item, children)) => match ack(&*delivery.lease, steps).await {
                TicketOutcome::Acked { steps } => {
                    match Box::pin(session.check_parked(&item, &children)).await {
                        Ok(()) => TicketOutcome::Acked { steps },
                        Err(error) => TicketOutcome::Abandoned { steps, error },
                    }
                }
                not_acked => not_acked,
            },
            Ok(NextAction::Nak) => nak(&*delivery.lease, steps).await,
            Ok(NextAction::Later(delay)) => Box::pin(session.give_back(delay)).await,
            // A host that stops gives up its retries. That is no attempt, as long as the server takes the ticket back.
            Err(_) if cancel.is_cancelled() => nak(&*delivery.lease, steps).await,
            Err(error) => TicketOutcome::Abandoned { steps, error },
        }
    }
}

async fn ack(lease: &dyn Lease, steps: u64) -> TicketOutcome {
    fail_point(FailPoint::TicketUnsettled);
    match lease.ack().await {
        Ok(()) => {
            fail_point(FailPoint::TicketSettled);
            TicketOutcome::Acked { steps }
        }
        Err(error) => TicketOutcome::Abandoned { steps, error },
    }
}

async fn nak(lease: &dyn Lease, steps: u64) -> TicketOutcome {
    match lease.nak().await {
        Ok(()) => TicketOutcome::Nacked { steps },
        Err(error) => TicketOutcome::Abandoned { steps, error },
    }
}
