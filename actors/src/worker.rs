//! The worker: takes tickets, and has the engine run their steps.
//!
//! The worker's thread only moves things: it subscribes to the tickets of every workflow of the engine, and for each
//! delivery starts a task on the runtime that the system was given. Nodes run there, as many at once as there are
//! slots; whatever they do, the worker goes on. The tasks are the worker's: when it fails they are aborted, and their
//! tickets are given back.

pub(crate) mod messages;
mod status;
mod step;

pub use status::WorkerStatus;
pub(crate) use status::WorkerTally;

use crate::{
    keep_alive::{HeldLeases, KeepTally},
    shift::{self, Outcome, Shift, Shifts},
    slots::Slots,
    subscription::{self, Ended, Subject},
    supervisor::LastWord,
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
pub(crate) struct WorkerKit {
    pub(crate) engine: Arc<Engine>,
    /// Where nodes run.
    pub(crate) runtime: Handle,
    pub(crate) slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) tally: Arc<WorkerTally>,
    pub(crate) keeper: Arc<KeepTally>,
}

impl WorkerKit {
    /// What is known without asking the worker.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.tally.status(&self.slots, self.leases.len(), &self.keeper)
    }
}

/// The worker.
pub(crate) struct Worker {
    kit: WorkerKit,
    shift: Shift<TicketEnded>,
}

impl Worker {
    pub(crate) fn new(kit: WorkerKit, word: LastWord) -> Self {
        Self { kit, shift: Shift::new(word) }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        shift::open(ctx);
        for workflow in self.kit.engine.workflows().iter() {
            let feed = subscribe(self.kit.clone(), workflow.name().clone(), ctx.address());
            self.shift.subscribe(feed);
        }
    }
}

impl Shifts for Worker {
    type Task = TicketEnded;

    fn shift(&mut self) -> &mut Shift<TicketEnded> {
        &mut self.shift
    }

    fn ended(&mut self, TicketEnded { fate, steps }: TicketEnded) -> Outcome {
        self.kit.tally.ended(fate, steps);
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
        if self.shift.turns_away() {
            return;
        }
        self.kit.tally.tickets.fetch_add(1, Relaxed);
        let (in_flight, cancel) = (self.kit.slots.begin(), self.shift.stop().child_token());
        let held = held.given_back_once(self.shift.stop().clone());
        let step = step::work(self.kit.engine.clone(), delivery, cancel, held, in_flight);
        self.shift.spawn(step, &self.kit.runtime);
    }
}

impl Handler<Observe> for Worker {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        let draining = self.shift.is_draining();
        MessageResult(WorkerStatus { answered: true, draining, ..self.kit.status() })
    }
}

impl Handler<Drain> for Worker {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        shift::drain(self, drain, ctx);
    }
}

async fn subscribe(kit: WorkerKit, workflow: WorkflowName, worker: Addr<Worker>) -> Ended {
    let WorkerKit { engine, slots, leases, tally, .. } = kit;
    let subject = Subject { what: "tickets", workflow: workflow.as_str(), reopened: &tally.reopened };
    let open = async || engine.backend().tickets(&workflow, slots.of(&workflow)).await;
    subscription::feed(subject, open, async |delivery| {
        let held = leases.hold(&delivery.lease);
        worker.send(TakeTicket { delivery, held }).await
    })
    .await
}
