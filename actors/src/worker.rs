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
    drain::{self, Draining, Drains},
    keep_alive::{HeldLeases, KeepTally},
    reaper::{RUNTIME_GONE, Reaper},
    slots::Slots,
    subscription::{self, Ended, Subject},
    supervisor::LastWord,
};
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, MessageResult};
use jetway_core::{WorkflowName, engine::Engine};
use messages::{Drain, Observe, Observed, TakeTicket};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use step::{Fate, TicketEnded};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

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
    subscriptions: JoinSet<Ended>,
    /// Stops what is in flight; also when the worker is dropped, which is why it stands before the tasks.
    stop: DropGuard,
    in_flight: JoinSet<TicketEnded>,
    draining: Option<Draining>,
    word: LastWord,
}

impl Worker {
    pub(crate) fn new(kit: WorkerKit, word: LastWord) -> Self {
        Self {
            kit,
            subscriptions: JoinSet::new(),
            stop: CancellationToken::new().drop_guard(),
            in_flight: JoinSet::new(),
            draining: None,
            word,
        }
    }

    fn ticket_ended(&mut self, ended: Option<TicketEnded>, ctx: &mut Context<Self>) {
        let Some(TicketEnded { fate, steps }) = ended else {
            if !self.stop.token().is_cancelled() {
                self.word.failed(RUNTIME_GONE);
                ctx.stop();
            }
            return;
        };
        self.kit.tally.ended(fate, steps);
        if let Some(draining) = &mut self.draining {
            let drained = &mut draining.so_far;
            *match fate {
                Fate::Done => &mut drained.finished,
                Fate::GivenBack => &mut drained.given_back,
                Fate::Abandoned | Fate::Panicked => &mut drained.left,
            } += 1;
        }
        drain::check(self, ctx);
    }

    fn subscription_ended(&mut self, ended: Option<Ended>, ctx: &mut Context<Self>) {
        if let Some(Ended::Hopeless(error)) = ended {
            self.word.failed(error);
            ctx.stop();
        }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(Reaper::new(|worker: &mut Self| &mut worker.in_flight, Self::ticket_ended));
        ctx.spawn(Reaper::new(|worker: &mut Self| &mut worker.subscriptions, Self::subscription_ended));
        for workflow in self.kit.engine.workflows().iter() {
            let feed = subscribe(self.kit.clone(), workflow.name().clone(), ctx.address());
            self.subscriptions.spawn_local(feed);
        }
    }
}

impl Handler<TakeTicket> for Worker {
    type Result = ();

    fn handle(&mut self, TakeTicket { delivery, held }: TakeTicket, _ctx: &mut Context<Self>) {
        if let Some(draining) = &mut self.draining {
            // Dropping `held` gives it back.
            draining.so_far.given_back += 1;
            return;
        }
        self.kit.tally.tickets.fetch_add(1, Relaxed);
        let (in_flight, cancel) = (self.kit.slots.begin(), self.stop.token().child_token());
        let held = held.given_back_once(self.stop.token().clone());
        let step = step::work(self.kit.engine.clone(), delivery, cancel, held, in_flight);
        self.in_flight.spawn_on(step, &self.kit.runtime);
    }
}

impl Handler<Observe> for Worker {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        MessageResult(WorkerStatus { answered: true, draining: self.draining.is_some(), ..self.kit.status() })
    }
}

impl Handler<Drain> for Worker {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        drain::begin(self, drain, ctx);
    }
}

impl Drains for Worker {
    fn draining(&mut self) -> &mut Option<Draining> {
        &mut self.draining
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn close(&mut self) {
        self.subscriptions.abort_all();
    }

    fn cancel(&mut self) {
        self.stop.token().cancel();
    }

    fn abort(&mut self) {
        self.in_flight.abort_all();
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        if let Some(draining) = self.draining.take() {
            draining.finish();
        }
        self.word.stopped();
        ctx.stop();
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
