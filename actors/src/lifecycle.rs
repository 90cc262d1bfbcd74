//! The lifecycle of the worker and the coordinator: subscribe, run tasks, drain, stop.

use crate::{
    drain::{Drain, Drained, Draining, STOP_LIMIT},
    subscription::SubscriptionEnd,
    supervisor::ExitReason,
    task_watcher::{RUNTIME_SHUT_DOWN, TaskWatcher},
};
use actix::{Actor, ActorContext, AsyncContext, Context};
use jetway_engine::backend::BackendErrorKind;
use std::{fmt, mem};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The subscriptions and tasks of one actor; `T` is the result of a task.
pub(crate) struct Lifecycle<T> {
    subscriptions: JoinSet<SubscriptionEnd>,
    /// Asks the tasks to stop, also when the actor is dropped. Declared before the tasks, so that it is dropped first.
    stop: DropGuard,
    in_flight: JoinSet<T>,
    draining: Option<Draining>,
    /// The drain is over, and the actor is about to stop.
    stopping: bool,
    exit_reason: ExitReason,
}

impl<T: Send + 'static> Lifecycle<T> {
    pub(crate) fn new(exit_reason: ExitReason) -> Self {
        Self {
            subscriptions: JoinSet::new(),
            stop: CancellationToken::new().drop_guard(),
            in_flight: JoinSet::new(),
            draining: None,
            stopping: false,
            exit_reason,
        }
    }

    /// Cancelled when the tasks must stop, and before they are dropped on purpose.
    pub(crate) fn stop(&self) -> &CancellationToken {
        self.stop.token()
    }

    /// Runs a subscription until the drain starts or the actor stops.
    pub(crate) fn subscribe(&mut self, subscription: impl Future<Output = SubscriptionEnd> + 'static) {
        self.subscriptions.spawn_local(subscription);
    }

    /// Starts a task that this actor owns.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static, runtime: &Handle) {
        self.in_flight.spawn_on(task, runtime);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Whether the caller must drop a message because the actor drains. Such a message counts as given back: its lease
    /// is returned when the message is dropped.
    pub(crate) fn reject_if_draining(&mut self) -> bool {
        self.count_drained(Drained::NACKED);
        self.is_draining()
    }

    /// Sends the report of the drain, and records that the actor stops as intended.
    pub(crate) fn end(&mut self) {
        if let Some(draining) = self.draining.take() {
            draining.send_report();
        }
        self.exit_reason.stopped();
    }

    /// Adds to the report of the drain; without effect while the actor does not drain.
    fn count_drained(&mut self, drained: Drained) {
        if let Some(draining) = &mut self.draining {
            draining.report = draining.report + drained;
        }
    }
}

/// An actor with a [`Lifecycle`].
pub(crate) trait LifecycleActor: Actor<Context = Context<Self>> {
    /// The result of one of its tasks.
    type TaskResult: Send + 'static;

    fn lifecycle(&mut self) -> &mut Lifecycle<Self::TaskResult>;

    /// Counts a finished task. Returns what it adds to the report of a drain.
    fn on_task_finished(&mut self, result: Self::TaskResult) -> Drained;

    /// Called once, when the drain starts.
    fn on_drain_started(&mut self) {}

    /// Called once, when the actor drains and no task is in flight. Must end the lifecycle and stop the actor.
    fn on_drained(&mut self, ctx: &mut Context<Self>) {
        self.lifecycle().end();
        ctx.stop();
    }
}

/// Watches the tasks and the subscriptions. Call it once, when the actor starts.
pub(crate) fn watch_tasks<A: LifecycleActor>(ctx: &mut Context<A>) {
    ctx.spawn(TaskWatcher::new(|actor: &mut A| &mut actor.lifecycle().in_flight, task_ended));
    ctx.spawn(TaskWatcher::new(|actor: &mut A| &mut actor.lifecycle().subscriptions, subscription_ended));
}

/// Ends the subscriptions, and stops the actor when no task is in flight. Tasks that exceed the limit are cancelled, and
/// aborted [`STOP_LIMIT`] later.
pub(crate) fn start_drain<A: LifecycleActor>(
    actor: &mut A,
    Drain { limit, reply }: Drain,
    ctx: &mut Context<A>,
) {
    let lifecycle = actor.lifecycle();
    lifecycle.subscriptions.abort_all();
    lifecycle.draining = Some(Draining { reply, report: Drained::default() });
    actor.on_drain_started();
    ctx.run_later(limit, |actor, ctx| {
        actor.lifecycle().stop().cancel();
        ctx.run_later(STOP_LIMIT, abort_remaining);
    });
    stop_if_idle(actor, ctx);
}

fn task_ended<A: LifecycleActor>(actor: &mut A, result: Option<A::TaskResult>, ctx: &mut Context<A>) {
    let Some(result) = result else {
        if !actor.lifecycle().stop().is_cancelled() {
            fail(actor, RUNTIME_SHUT_DOWN, ctx);
        }
        return;
    };
    let drained = actor.on_task_finished(result);
    actor.lifecycle().count_drained(drained);
    stop_if_idle(actor, ctx);
}

fn subscription_ended<A: LifecycleActor>(actor: &mut A, end: Option<SubscriptionEnd>, ctx: &mut Context<A>) {
    match end {
        // Another instance would have the same connection.
        Some(SubscriptionEnd::Unrecoverable(error)) if error.kind() == BackendErrorKind::Closed => {
            actor.lifecycle().exit_reason.unrecoverable(error);
            ctx.stop();
        }
        Some(SubscriptionEnd::Unrecoverable(error)) => fail(actor, error, ctx),
        Some(SubscriptionEnd::ActorStopped) | None => {}
    }
}

fn fail<A: LifecycleActor>(actor: &mut A, error: impl fmt::Display, ctx: &mut Context<A>) {
    actor.lifecycle().exit_reason.failed(error);
    ctx.stop();
}

fn stop_if_idle<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    let lifecycle = actor.lifecycle();
    if lifecycle.is_draining() && lifecycle.in_flight.is_empty() && ctx.state().alive() {
        stop_once(actor, ctx);
    }
}

fn stop_once<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    if !mem::replace(&mut actor.lifecycle().stopping, true) {
        actor.on_drained(ctx);
    }
}

fn abort_remaining<A: LifecycleActor>(actor: &mut A, ctx: &mut Context<A>) {
    let lifecycle = actor.lifecycle();
    let tasks = lifecycle.in_flight.len() as u64;
    if tasks > 0 {
        tracing::warn!(tasks, "tasks did not stop in time: they are aborted and their messages given back");
    }
    lifecycle.count_drained(Drained { nacked: tasks, ..Drained::default() });
    lifecycle.in_flight.abort_all();
    stop_once(actor, ctx);
}
