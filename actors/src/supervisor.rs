//! Restarts an actor when it panics or fails, and reports when restarts do not help.
//!
//! The `Supervisor` of actix is not used. It polls the actor's context, calls `restarting()` on the same actor when the
//! context ends, and is part of the task that it watches: a panic unwinds both, tokio catches it at the edge of the
//! task, and the actor is gone without any report.
//!
//! Here the supervisor is a task on another thread than the actor. It runs one instance of the actor at a time:
//!
//! 1. The supervisor sends the factory to the actor's arbiter, a thread that no other actor uses. There the actor is
//!    created and its context runs as one task, whose join handle is returned with the address. The factory runs inside
//!    that task, so that its panics count as those of the actor.
//! 2. The supervisor publishes the address to the [`Supervised`] handles and waits for the join handle. tokio
//!    resolves the handle after the task's future was dropped, and with it the actor and every task that it owned.
//! 3. Two sources tell how the instance ended. The join handle reports a panic, with its message, or a stopped arbiter.
//!    The actor's [`ExitReason`], set before `ctx.stop()`, reports an intended stop (no restart) or an error. An end
//!    without an exit reason counts as a failure.
//! 4. After a failure the next instance starts after a delay. The delay doubles, with jitter, with each recent restart
//!    ([`RestartPolicy`]). One failure more than the policy allows, or one that no restart can mend (the connection has
//!    ended), is [`Fatal`]: the actor stays down, and the owner of the system is notified, so that the process exits with
//!    an error instead of running without this actor.
//!
//! What must survive a restart (slots, held leases, counters) is owned by the factory and given to each instance.
//!
//! A context is polled once more while it is dropped, also by a panic: `Actor::stopping` and `stopped` run then. They
//! must not panic (a second panic aborts the process), and no actor here implements them.

mod exit;
mod health;
mod policy;
mod supervised;

pub(crate) use exit::{ExitReason, ExitStatus, panic_message};
pub use health::{ActorHealth, Fatal, Restarts};
pub use policy::RestartPolicy;
pub(crate) use supervised::Supervised;

use actix::{Actor, Addr, Arbiter, AsyncContext, Context};
use jetway_state::Rounded;
use policy::RestartLog;
use std::{ops::ControlFlow, sync::Arc};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The settings and channels that all supervisors of a system share.
#[derive(Debug, Clone)]
pub(crate) struct Supervision {
    /// When an actor is restarted.
    pub(crate) policy: RestartPolicy,
    /// Receives the failure when restarts do not help.
    pub(crate) fatal: Arc<watch::Sender<Option<Fatal>>>,
    /// Stops every actor at once when cancelled.
    pub(crate) closing: CancellationToken,
}

impl Supervision {
    /// Returns a supervisor for the actor that `factory` creates, and a handle on the actor. Logs and counts use `name`.
    /// At most `mailbox` messages wait for the actor.
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

/// Runs one actor, and restarts it after a failure.
pub(crate) struct Supervisor<A: Actor, F> {
    actor: &'static str,
    mailbox: usize,
    factory: Arc<F>,
    restarts: RestartLog,
    supervision: Supervision,
    arbiter: Option<Arbiter>,
    addr: watch::Sender<Option<Addr<A>>>,
    health: watch::Sender<ActorHealth>,
    /// Cancelled when the current instance must not be followed by another.
    no_restart: CancellationToken,
}

impl<A, F> Supervisor<A, F>
where
    A: Actor<Context = Context<A>>,
    F: Fn(ExitReason) -> A + Send + Sync + 'static,
{
    /// Runs until the actor stops for good. Must be polled on a thread with an actix system.
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

    /// Runs one instance to its end. Cancelling this future stops the actor.
    async fn run_instance(&mut self) -> ExitStatus {
        let exit_reason = ExitReason::default();
        match self.start_instance(exit_reason.clone()).await {
            Ok(instance) => exit_reason.status(instance.await),
            Err(exit_status) => exit_status,
        }
    }

    async fn start_instance(&mut self, exit_reason: ExitReason) -> Result<AbortOnDropHandle<()>, ExitStatus> {
        let (factory, mailbox) = (self.factory.clone(), self.mailbox);
        let (started, started_seen) = oneshot::channel();
        let start = move || {
            let mut context = Context::new();
            context.set_mailbox_capacity(mailbox);
            let addr = context.address();
            let instance = tokio::task::spawn_local(async move {
                let actor = factory(exit_reason);
                context.into_future(actor).await;
            });
            if started.send((addr, AbortOnDropHandle::new(instance))).is_err() {
                tracing::debug!("actor dropped: its supervisor stopped during its start");
            }
        };
        if !self.arbiter()?.spawn_fn(start) {
            return Err(ExitStatus::Unknown);
        }
        let (addr, instance) = started_seen.await.map_err(|_closed| ExitStatus::Unknown)?;
        self.addr.send_replace(Some(addr));
        self.health.send_modify(|health| health.alive = true);
        Ok(instance)
    }

    /// The actor's thread: created for the first instance, and again if it has stopped.
    fn arbiter(&mut self) -> Result<&Arbiter, ExitStatus> {
        if self.arbiter.as_ref().is_some_and(|arbiter| !arbiter.alive()) {
            self.join_thread();
        }
        match &mut self.arbiter {
            Some(arbiter) => Ok(arbiter),
            none => {
                let created = Arbiter::try_new().map_err(|error| {
                    ExitStatus::Failed(format!("cannot start a thread for the actor: {error}"))
                })?;
                Ok(none.insert(created))
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
            tracing::error!(actor, "actor {exit_status} while it was stopping: it is not restarted");
            self.health.send_modify(|health| health.failed(&exit_status, false));
            return ControlFlow::Break(());
        }
        let delay = exit_status.is_recoverable().then(|| self.restarts.failed(Instant::now())).flatten();
        self.health.send_modify(|health| health.failed(&exit_status, delay.is_some()));
        let Some(delay) = delay else {
            let fatal = Fatal::new(actor, self.restarts.count(), &self.supervision.policy, &exit_status);
            tracing::error!(actor, "{fatal}");
            self.supervision.fatal.send_replace(Some(fatal));
            return ControlFlow::Break(());
        };
        tracing::error!(actor, delay = %Rounded(delay), "actor {exit_status}: it is restarted after the delay");
        let no_restart = self.no_restart.clone();
        no_restart.run_until_cancelled(tokio::time::sleep(delay)).await;
        ControlFlow::Continue(())
    }

    fn mark_stopped(&self) {
        self.addr.send_replace(None);
        self.health.send_modify(|health| health.alive = false);
    }

    /// Stops the actor's thread. Actors never block their threads, so this waits only until the tasks on it are dropped.
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
