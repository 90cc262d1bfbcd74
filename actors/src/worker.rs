//! The worker: takes tickets, and has the engine run their steps.
//!
//! The worker's thread only moves things: it subscribes to the tickets of every workflow of the engine, and for each
//! delivery starts a task on the runtime that the system was given. Nodes run there, as many at once as there are
//! slots; whatever they do, the worker goes on. The tasks are the worker's: when it fails they are aborted, and their
//! tickets are given back.

pub(crate) mod messages;
mod status;
mod step;

pub(crate) use status::WorkerCounters;
pub use status::WorkerStatus;

use crate::{
    lease_keeper::{HeldLeases, LeaseKeeperCounters},
    lifecycle::{self, Lifecycle, LifecycleActor, Outcome},
    slots::Slots,
    subscription::{self, Subscription, SubscriptionEnd},
    supervisor::ExitReason,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult};
use jetway_engine::Engine;
use jetway_state::WorkflowName;
use messages::{Drain, Observe, Observed, TakeTicket};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use step::{Fate, TicketEnded};
use tokio::runtime::Handle;

/// A ticket in the mailbox has a slot already, and each subscription waits until its last one was taken out: the
/// mailbox only has to be large enough to keep the worker busy while it is scheduled.
pub(crate) const MAILBOX: usize = 64;

/// What the lives of a worker have in common.
#[derive(Debug, Clone)]
pub(crate) struct WorkerShared {
    pub(crate) engine: Arc<Engine>,
    /// Where nodes run.
    pub(crate) runtime: Handle,
    pub(crate) slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) keeper: Arc<LeaseKeeperCounters>,
}

impl WorkerShared {
    /// What is known without asking the worker.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.counters.status(&self.slots, self.leases.len(), &self.keeper)
    }
}

/// The worker.
pub(crate) struct Worker {
    shared: WorkerShared,
    lifecycle: Lifecycle<TicketEnded>,
}

impl Worker {
    pub(crate) fn new(shared: WorkerShared, exit_reason: ExitReason) -> Self {
        Self { shared, lifecycle: Lifecycle::new(exit_reason) }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        lifecycle::open(ctx);
        for workflow in self.shared.engine.workflows().iter() {
            let feed = subscribe(self.shared.clone(), workflow.name().clone(), ctx.address());
            self.lifecycle.subscribe(feed);
        }
    }
}

impl LifecycleActor for Worker {
    type Task = TicketEnded;

    fn lifecycle(&mut self) -> &mut Lifecycle<TicketEnded> {
        &mut self.lifecycle
    }

    fn ended(&mut self, TicketEnded { fate, steps }: TicketEnded) -> Outcome {
        self.shared.counters.ended(fate, steps);
        match fate {
            Fate::Done => Outcome::Finished,
            Fate::GivenBack => Outcome::GivenBack,
            Fate::Abandoned | Fate::Panicked => Outcome::Left,
        }
    }
}

impl Handler<TakeTicket> for Worker {
    type Result = ();

    fn handle(&mut self, TakeTicket { delivery, held }: TakeTicket, _ctx: &mut Context<Self>) {
        if self.lifecycle.reject_if_draining() {
            return;
        }
        self.shared.counters.tickets.fetch_add(1, Relaxed);
        let (in_flight, cancel) = (self.shared.slots.begin(), self.lifecycle.stop().child_token());
        let held = held.nak_only_after(self.lifecycle.stop().clone());
        let step = step::work(self.shared.engine.clone(), delivery, cancel, held, in_flight);
        self.lifecycle.spawn(step, &self.shared.runtime);
    }
}

impl Handler<Observe> for Worker {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        let draining = self.lifecycle.is_draining();
        MessageResult(WorkerStatus { answered: true, draining, ..self.shared.status() })
    }
}

impl Handler<Drain> for Worker {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        lifecycle::drain(self, drain, ctx);
    }
}

async fn subscribe(shared: WorkerShared, workflow: WorkflowName, worker: Addr<Worker>) -> SubscriptionEnd {
    let WorkerShared { engine, slots, leases, counters, .. } = shared;
    let subscription =
        Subscription { what: "tickets", workflow: workflow.as_str(), reopened: &counters.reopened };
    let open = async || engine.backend().tickets(&workflow, slots.of(&workflow)).await;
    subscription::feed(subscription, open, async |delivery| {
        let held = leases.hold(&delivery.lease);
        worker.send(TakeTicket { delivery, held }).await
    })
    .await
}
