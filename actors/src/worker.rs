//! The worker: takes tickets, and lets the engine run their steps.
//!
//! The worker's thread only forwards messages: it subscribes to the tickets of every workflow of the engine, and starts
//! a task for each delivery on the runtime given to the system. Nodes run there, as many at once as there are slots,
//! and cannot block the worker. The worker owns the tasks: when it fails they are aborted and their tickets given back.

pub(crate) mod messages;
mod status;
mod tickets;

pub(crate) use status::WorkerCounters;
pub use status::WorkerStatus;

use crate::{
    drain::Drained,
    engine_call::EnginePanicked,
    lease_keeper::{HeldLeases, LeaseKeeperCounters},
    lifecycle::{self, Lifecycle, LifecycleActor},
    slots::Slots,
    supervisor::ExitReason,
};
use actix::{Actor, AsyncContext, Context, Handler, MessageResult};
use jetway_engine::{Engine, TicketOutcome};
use messages::{Drain, Observe, Observed};
use std::sync::Arc;
use tickets::TicketResult;
use tokio::runtime::Handle;

/// Messages that may wait for the worker. Each has a slot already, and a subscription has one message in the mailbox at
/// most, so this only has to keep the worker busy while it is scheduled.
pub(crate) const MAILBOX: usize = 64;

/// What all instances of the worker share; it survives restarts.
#[derive(Debug, Clone)]
pub(crate) struct WorkerShared {
    pub(crate) engine: Arc<Engine>,
    /// Where nodes run.
    pub(crate) runtime: Handle,
    pub(crate) slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) lease_counters: Arc<LeaseKeeperCounters>,
}

impl WorkerShared {
    /// The status without an answer of the worker.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.counters.status(&self.slots, self.leases.len(), &self.lease_counters)
    }
}

/// The worker.
pub(crate) struct Worker {
    shared: WorkerShared,
    lifecycle: Lifecycle<TicketResult>,
}

impl Worker {
    pub(crate) fn new(shared: WorkerShared, exit_reason: ExitReason) -> Self {
        Self { shared, lifecycle: Lifecycle::new(exit_reason) }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        lifecycle::watch_tasks(ctx);
        for workflow in self.shared.engine.workflows().iter() {
            let subscription =
                tickets::subscribe(self.shared.clone(), workflow.name().clone(), ctx.address());
            self.lifecycle.subscribe(subscription);
        }
    }
}

impl LifecycleActor for Worker {
    type TaskResult = TicketResult;

    fn lifecycle(&mut self) -> &mut Lifecycle<TicketResult> {
        &mut self.lifecycle
    }

    fn on_task_finished(&mut self, result: TicketResult) -> Drained {
        self.shared.counters.count(&result);
        match result {
            Ok(TicketOutcome::Acked { .. }) => Drained::FINISHED,
            Ok(TicketOutcome::Nacked { .. }) => Drained::NACKED,
            Ok(TicketOutcome::Abandoned { .. }) | Err(EnginePanicked { .. }) => Drained::ABANDONED,
        }
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
        lifecycle::start_drain(self, drain, ctx);
    }
}
