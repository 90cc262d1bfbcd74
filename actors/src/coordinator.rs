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
pub use status::CoordinatorStatus;
pub(crate) use status::CoordinatorTally;

use crate::{
    drain::{self, Draining, Drains},
    keep_alive::HeldLeases,
    reaper::{RUNTIME_GONE, Reaper},
    slots::Slots,
    subscription::Ended,
    supervisor::LastWord,
};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, WrapFuture};
use jetway_core::{backend::HostInfo, engine::Engine};
use messages::{Drain, Observe, Observed, TakeStart};
use starts::Fate;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A start message in the mailbox has a slot already, and each subscription waits until its last one was taken out:
/// the mailbox only has to be large enough to keep the coordinator busy while it is scheduled.
pub(crate) const MAILBOX: usize = 64;

/// What the lives of a coordinator have in common.
#[derive(Debug, Clone)]
pub(crate) struct CoordinatorKit {
    pub(crate) engine: Arc<Engine>,
    /// Where start messages are handled.
    pub(crate) runtime: Handle,
    pub(crate) slots: Slots,
    pub(crate) leases: Arc<HeldLeases>,
    pub(crate) tally: Arc<CoordinatorTally>,
    pub(crate) host: Arc<HostInfo>,
    pub(crate) sweep_every: Duration,
    pub(crate) expel_every: Duration,
    pub(crate) unknown_grace: Duration,
}

impl CoordinatorKit {
    /// What is known without asking the coordinator.
    pub(crate) fn status(&self) -> CoordinatorStatus {
        self.tally.status(&self.slots)
    }
}

/// The coordinator.
pub(crate) struct Coordinator {
    kit: CoordinatorKit,
    subscriptions: JoinSet<Ended>,
    duties: JoinSet<Infallible>,
    /// Tells that what is in flight is dropped on purpose; also when the coordinator is dropped, which is why it
    /// stands before the tasks.
    stop: DropGuard,
    in_flight: JoinSet<Fate>,
    draining: Option<Draining>,
    word: LastWord,
}

impl Coordinator {
    pub(crate) fn new(kit: CoordinatorKit, word: LastWord) -> Self {
        Self {
            kit,
            subscriptions: JoinSet::new(),
            duties: JoinSet::new(),
            stop: CancellationToken::new().drop_guard(),
            in_flight: JoinSet::new(),
            draining: None,
            word,
        }
    }

    fn start_ended(&mut self, ended: Option<Fate>, ctx: &mut Context<Self>) {
        let Some(fate) = ended else {
            if !self.stop.token().is_cancelled() {
                self.word.failed(RUNTIME_GONE);
                ctx.stop();
            }
            return;
        };
        self.kit.tally.ended(fate);
        if let Some(draining) = &mut self.draining {
            let drained = &mut draining.so_far;
            *match fate {
                Fate::Started | Fate::Refused => &mut drained.finished,
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

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(Reaper::new(|actor: &mut Self| &mut actor.in_flight, Self::start_ended));
        ctx.spawn(Reaper::new(|actor: &mut Self| &mut actor.subscriptions, Self::subscription_ended));
        ctx.spawn(Reaper::new(|actor: &mut Self| &mut actor.duties, |_actor, _aborted, _ctx| ()));
        for workflow in self.kit.engine.workflows().iter() {
            let feed = starts::subscribe(self.kit.clone(), workflow.name().clone(), ctx.address());
            self.subscriptions.spawn_local(feed);
        }
        let kit = &self.kit;
        self.duties.spawn_local(presence::announce(kit.clone()));
        self.duties.spawn_local(sweep::sweep(kit.clone(), kit.sweep_every));
        self.duties.spawn_local(sweep::expel(kit.clone(), kit.expel_every, kit.unknown_grace));
    }
}

impl Handler<TakeStart> for Coordinator {
    type Result = ();

    fn handle(&mut self, TakeStart { delivery, held }: TakeStart, _ctx: &mut Context<Self>) {
        if let Some(draining) = &mut self.draining {
            // Dropping `held` gives it back.
            draining.so_far.given_back += 1;
            return;
        }
        let held = held.given_back_once(self.stop.token().clone());
        let start = starts::take(self.kit.engine.clone(), delivery, held, self.kit.slots.begin());
        self.in_flight.spawn_on(start, &self.kit.runtime);
    }
}

impl Handler<Observe> for Coordinator {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        MessageResult(CoordinatorStatus {
            answered: true,
            draining: self.draining.is_some(),
            ..self.kit.status()
        })
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        drain::begin(self, drain, ctx);
    }
}

impl Drains for Coordinator {
    fn draining(&mut self) -> &mut Option<Draining> {
        &mut self.draining
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn close(&mut self) {
        self.subscriptions.abort_all();
        self.duties.abort_all();
    }

    /// A start runs no code of a user, and ends by itself or with the backend's time limits.
    fn cancel(&mut self) {}

    fn abort(&mut self) {
        self.stop.token().cancel();
        self.in_flight.abort_all();
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        let Some(draining) = self.draining.take() else {
            return;
        };
        let (engine, host) = (self.kit.engine.clone(), self.kit.host.clone());
        let leaving = async move { presence::leave(engine.backend().as_ref(), &host.host).await };
        ctx.spawn(leaving.into_actor(self).map(|(), actor, ctx| {
            draining.finish();
            actor.word.stopped();
            ctx.stop();
        }));
    }
}
