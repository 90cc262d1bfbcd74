//! What the lives of all actors that work on what streams bring have in common: they subscribe, have tasks in flight,
//! and can be drained.

use crate::{
    drain::{Drain, Drained, Draining, STOP_LIMIT},
    subscription::SubscriptionEnd,
    supervisor::ExitReason,
    task_watcher::{RUNTIME_SHUT_DOWN, TaskWatcher},
};
use actix::{Actor, ActorContext, AsyncContext, Context};
use std::{fmt, mem};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What an actor has in hand; `T` is what its tasks return.
pub(crate) struct Lifecycle<T> {
    subscriptions: JoinSet<SubscriptionEnd>,
    /// Tells what is in flight to stop; also when the actor is dropped, which is why it stands before the tasks.
    stop: DropGuard,
    in_flight: JoinSet<T>,
    draining: Option<Draining>,
    /// The actor is on its way out.
    leaving: bool,
    exit_reason: ExitReason,
}

impl<T: Send + 'static> Lifecycle<T> {
    pub(crate) fn new(exit_reason: ExitReason) -> Self {
        Self {
            subscriptions: JoinSet::new(),
            stop: CancellationToken::new().drop_guard(),
            in_flight: JoinSet::new(),
            draining: None,
            leaving: false,
            exit_reason,
        }
    }

    /// Cancelled when what is in flight is to stop, or is about to be dropped on purpose.
    pub(crate) fn stop(&self) -> &CancellationToken {
        self.stop.token()
    }

    /// Keeps a subscription open until the lifecycle closes.
    pub(crate) fn subscribe(&mut self, feed: impl Future<Output = SubscriptionEnd> + 'static) {
        self.subscriptions.spawn_local(feed);
    }

    /// Has a task in flight.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static, runtime: &Handle) {
        self.in_flight.spawn_on(task, runtime);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Whether a message is to be turned away, which counts it as given back: dropping what holds its lease does that.
    pub(crate) fn reject_if_draining(&mut self) -> bool {
        self.count(|drained| drained.given_back += 1)
    }

    /// Tells whoever asked for the drain, and the supervisor.
    pub(crate) fn end(&mut self) {
        if let Some(draining) = self.draining.take() {
            draining.finish();
        }
        self.exit_reason.stopped();
    }

    fn count(&mut self, count: impl FnOnce(&mut Drained)) -> bool {
        if let Some(draining) = &mut self.draining {
            count(&mut draining.so_far);
        }
        self.is_draining()
    }
}

/// What became of the message that a task worked on.
pub(crate) enum Outcome {
    Finished,
    GivenBack,
    Left,
}

/// An actor that works on what streams bring.
pub(crate) trait LifecycleActor: Actor<Context = Context<Self>> {
    /// What its tasks return.
    type Task: Send + 'static;
    fn lifecycle(&mut self) -> &mut Lifecycle<Self::Task>;
    /// Counts a task that has ended.
    fn ended(&mut self, task: Self::Task) -> Outcome;
    /// The lifecycle takes nothing more.
    fn closed(&mut self) {}
    /// Nothing is in flight any more: ends the lifecycle and the actor.
    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.lifecycle().end();
        ctx.stop();
    }
}

/// Watches the tasks of the lifecycle. To be called once, when the actor starts.
pub(crate) fn open<A: LifecycleActor>(ctx: &mut Context<A>) {
    ctx.spawn(TaskWatcher::new(|actor: &mut A| &mut actor.lifecycle().in_flight, task_ended));
    ctx.spawn(TaskWatcher::new(|actor: &mut A| &mut actor.lifecycle().subscriptions, subscription_ended));
}

/// Takes nothing more, and ends the lifecycle when what is in flight has ended, which it has to within the limit.
pub(crate) fn drain<A: LifecycleActor>(actor: &mut A, Drain { limit, done }: Drain, ctx: &mut Context<A>) {
    let lifecycle = actor.lifecycle();
    lifecycle.subscriptions.abort_all();
    lifecycle.draining = Some(Draining { done, so_far: Drained::default() });
    actor.closed();
    ctx.run_later(limit, |actor, ctx| {
        actor.lifecycle().stop().cancel();
        ctx.run_later(STOP_LIMIT, abandon);
    });
    leave_when_idle(actor, ctx);
}

fn task_ended<A: LifecycleActor>(actor: &mut A, ended: Option<A::Task>, ctx: &mut Context<A>) {
    let Some(task) = ended else {
        if !actor.lifecycle().stop().is_cancelled() {
            fail(actor, RUNTIME_SHUT_DOWN, ctx);
        }
        return;
    };
    let outcome = actor.ended(task);
    actor.lifecycle().count(|drained| match outcome {
        Outcome::Finished => drained.finished += 1,
        Outcome::GivenBack => drained.given_back += 1,
        Outcome::Left => drained.abandoned += 1,
    });
    leave_when_idle(actor, ctx);
}

fn subscription_ended<A: LifecycleActor>(
    actor: &mut A,
    ended: Option<SubscriptionEnd>,
    ctx: &mut Context<A>,
) {
    if let Some(SubscriptionEnd::Unrecoverable(error)) = ended {
        fail(actor, error, ctx);
    }
}

fn fail<A: LifecycleActor>(actor: &mut A, error: impl fmt::Display, ctx: &mut Context<A>) {
    actor.lifecycle().exit_reason.failed(error);
    ctx.stop();
}

fn leave_when_idle<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    let lifecycle = actor.lifecycle();
    if lifecycle.is_draining() && lifecycle.in_flight.is_empty() && ctx.state().alive() {
        leave(actor, ctx);
    }
}

fn leave<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    if !mem::replace(&mut actor.lifecycle().leaving, true) {
        actor.leave(ctx);
    }
}

fn abandon<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    let lifecycle = actor.lifecycle();
    let rest = lifecycle.in_flight.len() as u64;
    if rest > 0 {
        tracing::warn!(rest, "work in flight did not stop in time: its messages are given back without it");
    }
    lifecycle.count(|drained| drained.given_back += rest);
    lifecycle.in_flight.abort_all();
    leave(actor, ctx);
}
