//! The coordinator: turns start messages into runs, applies signals to runs, and repairs what messages lost.
//!
//! It subscribes to the start messages and the signals of every workflow of the engine and hands each to the engine, many at once, so
//! that their writes reach the backend in groups. It also runs periodic tasks: the sweep, the cleanup, and the
//! announcement of the host. Every host has a coordinator and all of them do the same work. There is no leader election,
//! since every write is a compare-and-swap.

pub(crate) mod messages;
mod presence;
mod signals;
mod starts;
mod status;
mod sweep;

pub(crate) use presence::host_info;
pub(crate) use status::CoordinatorCounters;
pub use status::CoordinatorStatus;

use crate::{
    drain::Drained,
    engine_call::EnginePanicked,
    lease_keeper::HeldLeases,
    lifecycle::{self, Lifecycle, LifecycleActor},
    slots::Slots,
    supervisor::ExitReason,
    task_watcher::TaskWatcher,
};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use jetway_engine::{Engine, SignalOutcome, StartOutcome, backend::HostInfo};
use messages::{Drain, Observe, Observed};
use signals::SignalResult;
use starts::StartResult;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::JoinSet};

/// Messages that may wait for the coordinator. Each has a slot already, and a subscription has one message in the
/// mailbox at most, so this only has to keep the coordinator busy while it is scheduled.
pub(crate) const MAILBOX: usize = 64;

/// What all instances of the coordinator share; it survives restarts.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatorShared {
    pub(crate) engine: Arc<Engine>,
    /// Where messages are handled.
    pub(crate) runtime: Handle,
    /// The slots of start messages.
    pub(crate) slots: Slots,
    /// Those of signals, so that a flood of one kind does not stop the other.
    pub(crate) signal_slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) counters: Arc<CoordinatorCounters>,
    pub(crate) host: Arc<HostInfo>,
    pub(crate) sweep_every: Duration,
    pub(crate) cleanup_every: Duration,
    pub(crate) unroutable_grace: Duration,
}

impl CoordinatorShared {
    /// The status without an answer of the coordinator.
    pub(crate) fn status(&self) -> CoordinatorStatus {
        self.counters.status(&self.slots, &self.signal_slots)
    }
}

/// The outcome of a message.
pub(crate) enum MessageResult {
    Start(StartResult),
    Signal(SignalResult),
}

/// The coordinator.
pub(crate) struct Coordinator {
    shared: CoordinatorShared,
    periodic_tasks: JoinSet<Infallible>,
    lifecycle: Lifecycle<MessageResult>,
}

impl Coordinator {
    pub(crate) fn new(shared: CoordinatorShared, exit_reason: ExitReason) -> Self {
        Self { shared, periodic_tasks: JoinSet::new(), lifecycle: Lifecycle::new(exit_reason) }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        lifecycle::watch_tasks(ctx);
        ctx.spawn(TaskWatcher::new(
            |actor: &mut Self| &mut actor.periodic_tasks,
            |_actor, _aborted, _ctx| (),
        ));
        for workflow in self.shared.engine.workflows().iter() {
            let subscription = starts::subscribe(self.shared.clone(), workflow.name().clone(), ctx.address());
            self.lifecycle.subscribe(subscription);
            let signals = signals::subscribe(self.shared.clone(), workflow.name().clone(), ctx.address());
            self.lifecycle.subscribe(signals);
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
    type TaskResult = MessageResult;

    fn lifecycle(&mut self) -> &mut Lifecycle<MessageResult> {
        &mut self.lifecycle
    }

    fn on_task_finished(&mut self, result: MessageResult) -> Drained {
        self.shared.counters.count(&result);
        match result {
            MessageResult::Start(Ok(StartOutcome::Abandoned(_)) | Err(EnginePanicked { .. }))
            | MessageResult::Signal(Ok(SignalOutcome::Abandoned(_)) | Err(EnginePanicked { .. })) => {
                Drained::ABANDONED
            }
            MessageResult::Start(Ok(_)) | MessageResult::Signal(Ok(_)) => Drained::FINISHED,
        }
    }

    fn on_drain_started(&mut self) {
        self.periodic_tasks.abort_all();
    }

    fn on_drained(&mut self, ctx: &mut Context<Self>) {
        let (engine, host) = (self.shared.engine.clone(), self.shared.host.clone());
        let leaving = async move { presence::leave(engine.backend().as_ref(), &host.host).await };
        ctx.spawn(leaving.into_actor(self).map(|(), actor, ctx| {
            actor.lifecycle.end();
            ctx.stop();
        }));
    }
}

impl Handler<Observe> for Coordinator {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        let draining = self.lifecycle.is_draining();
        actix::MessageResult(CoordinatorStatus { answered: true, draining, ..self.shared.status() })
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        lifecycle::start_drain(self, drain, ctx);
    }
}
