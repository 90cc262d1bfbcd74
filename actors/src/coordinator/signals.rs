//! Signals to runs: from the backend to the coordinator, and from there to the engine.

use super::{Coordinator, CoordinatorShared, MessageResult, messages::TakeSignal};
use crate::{
    engine_call::{EnginePanicked, call_engine},
    lease_keeper::HeldLease,
    slots::InFlight,
    subscription::{Subscription, SubscriptionEnd},
};
use actix::{Addr, Context, Handler};
use jetway_engine::{Engine, SignalOutcome, backend::SignalDelivery};
use jetway_state::WorkflowName;
use std::sync::Arc;

/// The outcome of a signal.
pub(crate) type SignalResult = Result<SignalOutcome, EnginePanicked>;

/// Delivers the signals to the runs of a workflow to the coordinator.
pub(super) async fn subscribe(
    shared: CoordinatorShared,
    workflow: WorkflowName,
    coordinator: Addr<Coordinator>,
) -> SubscriptionEnd {
    let CoordinatorShared { engine, signal_slots, leases, counters, .. } = shared;
    let subscription =
        Subscription { kind: "signals", workflow: workflow.as_str(), reopened: &counters.reopened };
    let open = async || engine.backend().signals(&workflow, signal_slots.of(&workflow)).await;
    subscription
        .run(open, async |delivery| {
            jetway_state::hop!("subscribe");
            let held = leases.hold(&delivery.lease);
            coordinator.send(TakeSignal { delivery, held }).await
        })
        .await
}

impl Handler<TakeSignal> for Coordinator {
    type Result = ();

    fn handle(&mut self, TakeSignal { delivery, held }: TakeSignal, _ctx: &mut Context<Self>) {
        jetway_state::hop!("Coordinator::handle");
        if self.lifecycle.reject_if_draining() {
            return;
        }
        let held = held.nak_only_after(self.lifecycle.stop().clone());
        let signal = take(self.shared.engine.clone(), delivery, held, self.shared.signal_slots.begin());
        self.lifecycle.spawn(signal, &self.shared.runtime);
    }
}

/// Lets the engine apply a signal, while the lease keeper extends its lease.
async fn take(
    engine: Arc<Engine>,
    delivery: SignalDelivery,
    held: HeldLease,
    in_flight: InFlight,
) -> MessageResult {
    jetway_state::hop!("take");
    let (run, signal) = (delivery.signal.run.clone(), delivery.signal.name.clone());
    let result = call_engine(Box::pin(engine.process_signal(delivery)), held, in_flight).await;
    match &result {
        Ok(SignalOutcome::Applied(..) | SignalOutcome::PutOff(_) | SignalOutcome::Refused(_)) => {}
        Ok(SignalOutcome::Abandoned(error)) => {
            tracing::warn!(%run, signal, %error, "signal not handled: it is delivered again when its lease ends");
        }
        Err(EnginePanicked { message }) => {
            tracing::error!(%run, signal, error = message, "engine panicked: the signal is delivered again when its lease ends");
        }
    }
    MessageResult::Signal(result)
}
