//! The coordinator: turns start messages into runs, and sees that nothing is left lying.
//!
//! It subscribes to the start messages of every workflow of the engine and hands each to the engine, many at once, so
//! that their writes go to the backend in groups. Besides, it has duties: it sweeps, it expels start messages that
//! nobody can start, and it announces the host. Every host has a coordinator and all of them do the same work; nothing
//! elects one, since every write is a compare-and-swap.

pub(crate) mod messages;
mod presence;
mod starts;
mod status;
mod sweep;

pub(crate) use presence::host_info;
pub(crate) use status::CoordinatorCounters;
pub use status::CoordinatorStatus;

use crate::{
    lease_keeper::HeldLeases,
    lifecycle::{self, Lifecycle, LifecycleActor, Outcome},
    slots::Slots,
    supervisor::ExitReason,
    task_watcher::TaskWatcher,
};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, WrapFuture};
use jetway_engine::{Engine, backend::HostInfo};
use messages::{Drain, Observe, Observed, TakeStart};
use starts::Fate;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::JoinSet};

/// A start message in the mailbox has a slot already, and each subscription waits until its last one was taken out:
/// the mailbox only has to be large enough to keep the coordinator busy while it is scheduled.
pub(crate) const MAILBOX: usize = 64;

/// What the lives of a coordinator have in common.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatorShared {
    pub(crate) engine: Arc<Engine>,
    /// Where start messages are handled.
    pub(crate) runtime: Handle,
    pub(crate) slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) counters: Arc<CoordinatorCounters>,
    pub(crate) host: Arc<HostInfo>,
    pub(crate) sweep_every: Duration,
    pub(crate) cleanup_every: Duration,
    pub(crate) unroutable_grace: Duration,
}

impl CoordinatorShared {
    /// What is known without asking the coordinator.
    pub(crate) fn status(&self) -> CoordinatorStatus {
        self.counters.status(&self.slots)
    }
}

/// The coordinator.
pub(crate) struct Coordinator {
    shared: CoordinatorShared,
    periodic_tasks: JoinSet<Infallible>,
    lifecycle: Lifecycle<Fate>,
}

impl Coordinator {
    pub(crate) fn new(shared: CoordinatorShared, exit_reason: ExitReason) -> Self {
        Self { shared, periodic_tasks: JoinSet::new(), lifecycle: Lifecycle::new(exit_reason) }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        lifecycle::open(ctx);
        ctx.spawn(TaskWatcher::new(
            |actor: &mut Self| &mut actor.periodic_tasks,
            |_actor, _aborted, _ctx| (),
        ));
        for workflow in self.shared.engine.workflows().iter() {
            let feed = starts::subscribe(self.shared.clone(), workflow.name().clone(), ctx.address());
            self.lifecycle.subscribe(feed);
        }
        let shared = &self.shared;
        self.periodic_tasks.spawn_local(presence::announce(shared.clone()));
        self.periodic_tasks.spawn_local(sweep::sweep(shared.clone(), shared.sweep_every));
        self.periodic_tasks.spawn_local(sweep::clean_up(
            shared.clone(),
            shared.cleanup_every,
            shared.unroutable_grace,
        ));
    }
}

impl LifecycleActor for Coordinator {
    type Task = Fate;

    fn lifecycle(&mut self) -> &mut Lifecycle<Fate> {
        &mut self.lifecycle
    }

    fn ended(&mut self, fate: Fate) -> Outcome {
        self.shared.counters.ended(fate);
        match fate {
            Fate::Started | Fate::Refused => Outcome::Finished,
            Fate::Abandoned | Fate::Panicked => Outcome::Left,
        }
    }

    fn closed(&mut self) {
        self.periodic_tasks.abort_all();
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        let (engine, host) = (self.shared.engine.clone(), self.shared.host.clone());
        let leaving = async move { presence::leave(engine.backend().as_ref(), &host.host).await };
        ctx.spawn(leaving.into_actor(self).map(|(), actor, ctx| {
            actor.lifecycle.end();
            ctx.stop();
        }));
    }
}

impl Handler<TakeStart> for Coordinator {
    type Result = ();

    fn handle(&mut self, TakeStart { delivery, held }: TakeStart, _ctx: &mut Context<Self>) {
        if self.lifecycle.reject_if_draining() {
            return;
        }
        let held = held.nak_only_after(self.lifecycle.stop().clone());
        let start = starts::take(self.shared.engine.clone(), delivery, held, self.shared.slots.begin());
        self.lifecycle.spawn(start, &self.shared.runtime);
    }
}

impl Handler<Observe> for Coordinator {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        let draining = self.lifecycle.is_draining();
        MessageResult(CoordinatorStatus { answered: true, draining, ..self.shared.status() })
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        lifecycle::drain(self, drain, ctx);
    }
}
