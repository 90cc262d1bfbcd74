//! Start messages: from the backend to the coordinator, and from there to the engine.

use super::{Coordinator, CoordinatorShared, messages::TakeStart};
use crate::{
    lease_keeper::HeldLease,
    slots::InFlight,
    subscription::{self, Subscription, SubscriptionEnd},
    supervisor::panic_message,
};
use actix::Addr;
use futures::FutureExt;
use jetway_engine::{Engine, StartTaken, backend::StartDelivery};
use jetway_state::WorkflowName;
use std::{panic::AssertUnwindSafe, sync::Arc};

/// What became of a start message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// Its run exists.
    Started,
    /// It is among the dead letters.
    Refused,
    /// The backend is out of reach: it is left to its lease.
    Abandoned,
    /// The engine panicked, which is a defect of it.
    Panicked,
}

/// Makes a run of a start message, while its lease is kept alive. Dropped before its end, it has the message given
/// back; after a panic of the engine the message is left to its lease, as a ticket is.
pub(super) async fn take(
    engine: Arc<Engine>,
    delivery: StartDelivery,
    held: HeldLease,
    in_flight: InFlight,
) -> Fate {
    let (workflow, run_id) = (delivery.request.workflow.clone(), delivery.request.run_id.clone());
    let taken = AssertUnwindSafe(engine.take_start(delivery)).catch_unwind().await;
    held.release();
    drop(in_flight);
    match taken {
        Ok(StartTaken::Started(_)) => Fate::Started,
        Ok(StartTaken::Refused(_)) => Fate::Refused,
        Ok(StartTaken::Abandoned(error)) => {
            tracing::warn!(workflow, run_id, %error, "a start message is left to its lease");
            Fate::Abandoned
        }
        Err(payload) => {
            let message = panic_message(payload.as_ref());
            tracing::error!(workflow, run_id, message, "the engine panicked: the start is left to its lease");
            Fate::Panicked
        }
    }
}

/// Brings the start messages of a workflow to the coordinator.
pub(super) async fn subscribe(
    shared: CoordinatorShared,
    workflow: WorkflowName,
    coordinator: Addr<Coordinator>,
) -> SubscriptionEnd {
    let CoordinatorShared { engine, slots, leases, counters, .. } = shared;
    let subscription =
        Subscription { what: "starts", workflow: workflow.as_str(), reopened: &counters.reopened };
    let open = async || engine.backend().starts(&workflow, slots.of(&workflow)).await;
    subscription::feed(subscription, open, async |delivery| {
        let held = leases.hold(&delivery.lease);
        coordinator.send(TakeStart { delivery, held }).await
    })
    .await
}
