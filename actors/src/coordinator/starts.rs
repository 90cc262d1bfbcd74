//! Start messages: from the backend to the coordinator, and from there to the engine.

use super::{Coordinator, CoordinatorShared, MessageResult, messages::TakeStart};
use crate::{
    engine_call::{EnginePanicked, call_engine},
    lease_keeper::HeldLease,
    slots::InFlight,
    subscription::{Subscription, SubscriptionEnd},
};
use actix::{Addr, Context, Handler};
use jetway_engine::{Engine, StartOutcome, backend::StartDelivery};
use jetway_state::WorkflowName;
use std::sync::Arc;

/// The outcome of a start message.
pub(crate) type StartResult = Result<StartOutcome, EnginePanicked>;

/// Delivers the start messages of a workflow to the coordinator.
pub(super) async fn subscribe(
    shared: CoordinatorShared,
    workflow: WorkflowName,
    coordinator: Addr<Coordinator>,
) -> SubscriptionEnd {
    let CoordinatorShared { engine, slots, leases, counters, .. } = shared;
    let subscription =
        Subscription { kind: "starts", workflow: workflow.as_str(), reopened: &counters.reopened };
    let open = async || engine.backend().starts(&workflow, slots.of(&workflow)).await;
    subscription
        .run(open, async |delivery| {
            jetway_state::hop!("subscribe");
            let held = leases.hold(&delivery.lease);
            coordinator.send(TakeStart { delivery, held }).await
        })
        .await
}

impl Handler<TakeStart> for Coordinator {
    type Result = ();

    fn handle(&mut self, TakeStart { delivery, held }: TakeStart, _ctx: &mut Context<Self>) {
        jetway_state::hop!("Coordinator::handle");
        if self.lifecycle.reject_if_draining() {
            return;
        }
        let held = held.nak_only_after(self.lifecycle.stop().clone());
        let start = take(self.shared.engine.clone(), delivery, held, self.shared.slots.begin());
        self.lifecycle.spawn(start, &self.shared.runtime);
    }
}

/// Lets the engine create the run of a start message, while the lease keeper extends its lease.
async fn take(
    engine: Arc<Engine>,
    delivery: StartDelivery,
    held: HeldLease,
    in_flight: InFlight,
) -> MessageResult {
    jetway_state::hop!("take");
    let (workflow, run_id) = (delivery.request.workflow.clone(), delivery.request.run_id.clone());
    let result = call_engine(Box::pin(engine.process_start(delivery)), held, in_flight).await;
    // Written as a `RunKey` prints; the names in a start message may be invalid.
    let run = format_args!("{workflow}/{run_id}");
    match &result {
        Ok(StartOutcome::Started(_) | StartOutcome::Refused(_)) => {}
        Ok(StartOutcome::Abandoned(error)) => {
            tracing::warn!(%run, %error, "start message not handled: it is delivered again when its lease ends");
        }
        Err(EnginePanicked { message }) => {
            tracing::error!(%run, error = message, "engine panicked: the start message is delivered again when its lease ends");
        }
    }
    MessageResult::Start(result)
}
