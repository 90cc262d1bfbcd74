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
    keep_alive::HeldLeases,
    reaper::Reaper,
    shift::{self, Outcome, Shift, Shifts},
    slots::Slots,
    supervisor::LastWord,
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
    duties: JoinSet<Infallible>,
    shift: Shift<Fate>,
}

impl Coordinator {
    pub(crate) fn new(kit: CoordinatorKit, word: LastWord) -> Self {
        Self { kit, duties: JoinSet::new(), shift: Shift::new(word) }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        shift::open(ctx);
        ctx.spawn(Reaper::new(|actor: &mut Self| &mut actor.duties, |_actor, _aborted, _ctx| ()));
        for workflow in self.kit.engine.workflows().iter() {
            let feed = starts::subscribe(self.kit.clone(), workflow.name().clone(), ctx.address());
            self.shift.subscribe(feed);
        }
        let kit = &self.kit;
        self.duties.spawn_local(presence::announce(kit.clone()));
        self.duties.spawn_local(sweep::sweep(kit.clone(), kit.sweep_every));
        self.duties.spawn_local(sweep::expel(kit.clone(), kit.expel_every, kit.unknown_grace));
    }
}

impl Shifts for Coordinator {
    type Task = Fate;

    fn shift(&mut self) -> &mut Shift<Fate> {
        &mut self.shift
    }

    fn ended(&mut self, fate: Fate) -> Outcome {
        self.kit.tally.ended(fate);
        match fate {
            Fate::Started | Fate::Refused => Outcome::Finished,
            Fate::Abandoned | Fate::Panicked => Outcome::Left,
        }
    }

    fn closed(&mut self) {
        self.duties.abort_all();
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        let (engine, host) = (self.kit.engine.clone(), self.kit.host.clone());
        let leaving = async move { presence::leave(engine.backend().as_ref(), &host.host).await };
        ctx.spawn(leaving.into_actor(self).map(|(), actor, ctx| {
            actor.shift.end();
            ctx.stop();
        }));
    }
}

impl Handler<TakeStart> for Coordinator {
    type Result = ();

    fn handle(&mut self, TakeStart { delivery, held }: TakeStart, _ctx: &mut Context<Self>) {
        if self.shift.turns_away() {
            return;
        }
        let held = held.given_back_once(self.shift.stop().clone());
        let start = starts::take(self.kit.engine.clone(), delivery, held, self.kit.slots.begin());
        self.shift.spawn(start, &self.kit.runtime);
    }
}

impl Handler<Observe> for Coordinator {
    type Result = Observed;

    fn handle(&mut self, Observe: Observe, _ctx: &mut Context<Self>) -> Observed {
        let draining = self.shift.is_draining();
        MessageResult(CoordinatorStatus { answered: true, draining, ..self.kit.status() })
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        shift::drain(self, drain, ctx);
    }
}
