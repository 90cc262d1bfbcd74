//! Tickets: from the backend to the worker, and from there to the engine.

use super::{Worker, WorkerShared, messages::TakeTicket};
use crate::{
    engine_call::{EnginePanicked, call_engine},
    lease_keeper::HeldLease,
    slots::InFlight,
    subscription::{Subscription, SubscriptionEnd},
};
use actix::{Addr, Context, Handler};
use jetway_engine::{Engine, TicketOutcome, backend::Delivery};
use jetway_state::WorkflowName;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio_util::sync::CancellationToken;

/// The outcome of a ticket.
pub(crate) type TicketResult = Result<TicketOutcome, EnginePanicked>;

/// Delivers the tickets of a workflow to the worker.
pub(super) async fn subscribe(
    shared: WorkerShared,
    workflow: WorkflowName,
    worker: Addr<Worker>,
) -> SubscriptionEnd {
    let WorkerShared { engine, slots, leases, counters, .. } = shared;
    let subscription =
        Subscription { kind: "tickets", workflow: workflow.as_str(), reopened: &counters.reopened };
    let open = async || engine.backend().tickets(&workflow, slots.of(&workflow)).await;
    subscription
        .run(open, async |delivery| {
            jetway_state::hop!("subscribe");
            let held = leases.hold(&delivery.lease);
            worker.send(TakeTicket { delivery, held }).await
        })
        .await
}

impl Handler<TakeTicket> for Worker {
    type Result = ();

    fn handle(&mut self, TakeTicket { delivery, held }: TakeTicket, _ctx: &mut Context<Self>) {
        jetway_state::hop!("Worker::handle");
        if self.lifecycle.reject_if_draining() {
            return;
        }
        self.shared.counters.tickets.fetch_add(1, Relaxed);
        let (in_flight, cancel) = (self.shared.slots.begin(), self.lifecycle.stop().child_token());
        let held = held.nak_only_after(self.lifecycle.stop().clone());
        let step = work(self.shared.engine.clone(), delivery, cancel, held, in_flight);
        self.lifecycle.spawn(step, &self.shared.runtime);
    }
}

/// Lets the engine work on a ticket until it is done, while the lease keeper extends its lease.
async fn work(
    engine: Arc<Engine>,
    delivery: Delivery,
    cancel: CancellationToken,
    held: HeldLease,
    in_flight: InFlight,
) -> TicketResult {
    jetway_state::hop!("work");
    let (run, item) = (delivery.ticket.run(), delivery.ticket.item.clone());
    let result = call_engine(Box::pin(engine.process_ticket(delivery, cancel)), held, in_flight).await;
    match &result {
        Ok(TicketOutcome::Acked { .. } | TicketOutcome::Nacked { .. }) => {}
        Ok(TicketOutcome::Abandoned { error, .. }) => {
            tracing::warn!(%run, %item, %error, "ticket not finished: it is delivered again when its lease ends");
        }
        Err(EnginePanicked { message }) => {
            tracing::error!(%run, %item, error = message, "engine panicked: the ticket is delivered again when its lease ends");
        }
    }
    result
}
