//! Keeps an actor alive: rebuilds it when it panics or gives up, and says so when that does not help.
//!
//! actix has a `Supervisor` of its own, which is not used. It polls the actor's context, calls `restarting()` on the
//! same actor when the context ends, and is itself part of the task that it watches: a panic unwinds both, tokio
//! catches it at the edge of the task, and the actor is gone without a word to anybody.
//!
//! Here the supervisor is a task on another thread than the actor. One life of an actor goes so:
//!
//! 1. The supervisor sends the factory to the actor's arbiter, a thread that no other actor uses. There the actor is
//!    built and its context runs as one task, whose join handle comes back with the address. The factory runs inside
//!    that task, so that its panics count as the actor's.
//! 2. The supervisor publishes the address to the [`Supervised`] handles and waits for the join handle. tokio settles
//!    the handle only after the task's future was dropped: by then the actor and every task that it owned are gone.
//! 3. How the life ended is known from two places: the join handle tells of a panic (with its message) and of an
//!    arbiter that went away, and the actor's [`ExitReason`] tells, where it was left before `ctx.stop()`, that the end
//!    was meant (no restart) or what the actor failed with. An end without a word counts as a failure.
//! 4. After a failure the next life begins after a pause that doubles, with jitter, while failures follow each other
//!    ([`RestartPolicy`]). One failure too many within the window is [`Fatal`]: the actor stays down and the owner of
//!    the system is told, so that the process ends with an error instead of living on as half a host.
//!
//! What has to outlive a life (slots, held leases, counts) is owned by the factory and handed to each actor.
//!
//! A context is polled once more while it is dropped, also by a panic: `Actor::stopping` and `stopped` run then. They
//! must not panic (a second panic aborts the process), and none of the actors here has any.

mod exit;
mod health;
mod policy;
mod supervised;

pub(crate) use exit::{ExitReason, ExitStatus, panic_message};
pub use health::{ActorHealth, Fatal, Restarts};
pub use policy::RestartPolicy;
pub(crate) use supervised::Supervised;

use actix::{Actor, Addr, Arbiter, AsyncContext, Context};
use policy::RestartLog;
use std::{ops::ControlFlow, sync::Arc};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// What the supervisors of a system have in common.
#[derive(Debug, Clone)]
pub(crate) struct Supervision {
    /// When an actor is rebuilt.
    pub(crate) policy: RestartPolicy,
    /// Told when restarts do not help.
    pub(crate) fatal: Arc<watch::Sender<Option<Fatal>>>,
    /// Ends every life at once.
    pub(crate) closing: CancellationToken,
}

impl Supervision {
    /// A supervisor for the actor that `factory` makes, and the handle on the actor. `name` stands for it in logs and
    /// counts; at most `mailbox` messages wait for it.
    pub(crate) fn of<A, F>(
        &self,
        name: &'static str,
        mailbox: usize,
        factory: F,
    ) -> (Supervisor<A, F>, Supervised<A>)
    where
        A: Actor<Context = Context<A>>,
        F: Fn(ExitReason) -> A + Send + Sync + 'static,
    {
        let (addr, addr_seen) = watch::channel(None);
        let (health, health_seen) = watch::channel(ActorHealth::new(name));
        let no_restart = CancellationToken::new();
        let supervised = Supervised::new(addr_seen, health_seen, no_restart.clone());
        let supervisor = Supervisor {
            actor: name,
            mailbox,
            factory: Arc::new(factory),
            restarts: RestartLog::new(self.policy.clone()),
            supervision: self.clone(),
            arbiter: None,
            addr,
            health,
            no_restart,
        };
        (supervisor, supervised)
    }
}

/// Keeps one actor alive.
pub(crate) struct Supervisor<A: Actor, F> {
    actor: &'static str,
    mailbox: usize,
    factory: Arc<F>,
    restarts: RestartLog,
    supervision: Supervision,
    arbiter: Option<Arbiter>,
    addr: watch::Sender<Option<Addr<A>>>,
    health: watch::Sender<ActorHealth>,
    /// The life that there is, if any, is the last.
    no_restart: CancellationToken,
}

impl<A, F> Supervisor<A, F>
where
    A: Actor<Context = Context<A>>,
    F: Fn(ExitReason) -> A + Send + Sync + 'static,
{
    /// Lives as long as the actor is wanted. Has to be polled on a thread with an actix system.
    pub(crate) async fn run(mut self) {
        let closing = self.supervision.closing.clone();
        closing.run_until_cancelled(self.run_instances()).await;
        self.mark_stopped();
        self.join_thread();
    }

    async fn run_instances(&mut self) {
        while !self.no_restart.is_cancelled() {
            let exit_status = self.run_instance().await;
            self.mark_stopped();
            if self.handle_exit(exit_status).await.is_break() {
                return;
            }
        }
    }

    /// One life, from the factory to the end. Cancelling it ends the actor.
    async fn run_instance(&mut self) -> ExitStatus {
        let exit_reason = ExitReason::default();
        match self.start_instance(exit_reason.clone()).await {
            Ok(life) => exit_reason.read(life.await),
            Err(exit_status) => exit_status,
        }
    }

    async fn start_instance(&mut self, exit_reason: ExitReason) -> Result<AbortOnDropHandle<()>, ExitStatus> {
        let (factory, mailbox) = (self.factory.clone(), self.mailbox);
        let (started, started_seen) = oneshot::channel();
        let make = move || {
            let mut context = Context::new();
            context.set_mailbox_capacity(mailbox);
            let addr = context.address();
            let life = tokio::task::spawn_local(async move {
                let actor = factory(exit_reason);
                context.into_future(actor).await;
            });
            if started.send((addr, AbortOnDropHandle::new(life))).is_err() {
                tracing::debug!("an actor was not wanted any more when it was born");
            }
        };
        if !self.arbiter()?.spawn_fn(make) {
            return Err(ExitStatus::Unknown);
        }
        let (addr, life) = started_seen.await.map_err(|_closed| ExitStatus::Unknown)?;
        self.addr.send_replace(Some(addr));
        self.health.send_modify(|health| health.alive = true);
        Ok(life)
    }

    /// The actor's thread: made for the first life, and anew where it has gone.
    fn arbiter(&mut self) -> Result<&Arbiter, ExitStatus> {
        if self.arbiter.as_ref().is_some_and(|arbiter| !arbiter.alive()) {
            self.join_thread();
        }
        match &mut self.arbiter {
            Some(arbiter) => Ok(arbiter),
            none => {
                let made = Arbiter::try_new()
                    .map_err(|error| ExitStatus::Failed(format!("no thread for the actor: {error}")))?;
                Ok(none.insert(made))
            }
        }
    }

    async fn handle_exit(&mut self, exit_status: ExitStatus) -> ControlFlow<()> {
        let actor = self.actor;
        if !exit_status.is_failure() {
            tracing::debug!(actor, "actor stopped");
            return ControlFlow::Break(());
        }
        if self.no_restart.is_cancelled() {
            tracing::error!(actor, "actor {exit_status}: it was about to be stopped and is not rebuilt");
            self.health.send_modify(|health| health.failed(&exit_status, false));
            return ControlFlow::Break(());
        }
        let pause = self.restarts.failed(Instant::now());
        self.health.send_modify(|health| health.failed(&exit_status, pause.is_some()));
        let Some(pause) = pause else {
            let fatal = Fatal::new(actor, &self.supervision.policy, &exit_status);
            tracing::error!(actor, "{fatal}");
            self.supervision.fatal.send_replace(Some(fatal));
            return ControlFlow::Break(());
        };
        tracing::error!(actor, ?pause, "actor {exit_status}: it is rebuilt after a pause");
        let no_restart = self.no_restart.clone();
        no_restart.run_until_cancelled(tokio::time::sleep(pause)).await;
        ControlFlow::Continue(())
    }

    fn mark_stopped(&self) {
        self.addr.send_replace(None);
        self.health.send_modify(|health| health.alive = false);
    }

    /// Ends the actor's thread. The actors never block theirs, so this waits for the tasks on it to be dropped only.
    fn join_thread(&mut self) {
        let Some(arbiter) = self.arbiter.take() else {
            return;
        };
        arbiter.stop();
        if arbiter.join().is_err() {
            tracing::error!(actor = self.actor, "the actor's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
