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
//!    arbiter that went away, and the actor's [`LastWord`] tells, where it was left before `ctx.stop()`, that the end
//!    was meant (no restart) or what the actor failed with. An end without a word counts as a failure.
//! 4. After a failure the next life begins after a pause that doubles, with jitter, while failures follow each other
//!    ([`RestartPolicy`]). One failure too many within the window is [`Fatal`]: the actor stays down and the owner of
//!    the system is told, so that the process ends with an error instead of living on as half a host.
//!
//! What has to outlive a life (slots, held leases, counts) is owned by the factory and handed to each actor.
//!
//! A context is polled once more while it is dropped, also by a panic: `Actor::stopping` and `stopped` run then. They
//! must not panic (a second panic aborts the process), and none of the actors here has any.

mod ending;
mod health;
mod policy;
mod supervised;

pub(crate) use ending::{Ending, LastWord, panic_message};
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
        F: Fn(LastWord) -> A + Send + Sync + 'static,
    {
        let (addr, addr_seen) = watch::channel(None);
        let (health, health_seen) = watch::channel(ActorHealth::new(name));
        let last_life = CancellationToken::new();
        let supervised = Supervised::new(addr_seen, health_seen, last_life.clone());
        let supervisor = Supervisor {
            actor: name,
            mailbox,
            factory: Arc::new(factory),
            restarts: RestartLog::new(self.policy.clone()),
            supervision: self.clone(),
            arbiter: None,
            addr,
            health,
            last_life,
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
    last_life: CancellationToken,
}

impl<A, F> Supervisor<A, F>
where
    A: Actor<Context = Context<A>>,
    F: Fn(LastWord) -> A + Send + Sync + 'static,
{
    /// Lives as long as the actor is wanted. Has to be polled on a thread with an actix system.
    pub(crate) async fn run(mut self) {
        let closing = self.supervision.closing.clone();
        closing.run_until_cancelled(self.lives()).await;
        self.gone();
        self.join();
    }

    async fn lives(&mut self) {
        while !self.last_life.is_cancelled() {
            let ending = self.life().await;
            self.gone();
            if self.after(ending).await.is_break() {
                return;
            }
        }
    }

    /// One life, from the factory to the end. Cancelling it ends the actor.
    async fn life(&mut self) -> Ending {
        let word = LastWord::default();
        match self.birth(word.clone()).await {
            Ok(life) => word.read(life.await),
            Err(ending) => ending,
        }
    }

    async fn birth(&mut self, word: LastWord) -> Result<AbortOnDropHandle<()>, Ending> {
        let (factory, mailbox) = (self.factory.clone(), self.mailbox);
        let (born, birth) = oneshot::channel();
        let make = move || {
            let mut context = Context::new();
            context.set_mailbox_capacity(mailbox);
            let addr = context.address();
            let life = tokio::task::spawn_local(async move {
                let actor = factory(word);
                context.into_future(actor).await;
            });
            if born.send((addr, AbortOnDropHandle::new(life))).is_err() {
                tracing::debug!("an actor was not wanted any more when it was born");
            }
        };
        if !self.arbiter()?.spawn_fn(make) {
            return Err(Ending::Vanished);
        }
        let (addr, life) = birth.await.map_err(|_closed| Ending::Vanished)?;
        self.addr.send_replace(Some(addr));
        self.health.send_modify(|health| health.alive = true);
        Ok(life)
    }

    /// The actor's thread: made for the first life, and anew where it has gone.
    fn arbiter(&mut self) -> Result<&Arbiter, Ending> {
        if self.arbiter.as_ref().is_some_and(|arbiter| !arbiter.alive()) {
            self.join();
        }
        match &mut self.arbiter {
            Some(arbiter) => Ok(arbiter),
            none => {
                let made = Arbiter::try_new()
                    .map_err(|error| Ending::Failed(format!("no thread for the actor: {error}")))?;
                Ok(none.insert(made))
            }
        }
    }

    async fn after(&mut self, ending: Ending) -> ControlFlow<()> {
        let actor = self.actor;
        if !ending.is_failure() {
            tracing::debug!(actor, "actor stopped");
            return ControlFlow::Break(());
        }
        if self.last_life.is_cancelled() {
            tracing::error!(actor, "actor {ending}: it was about to be stopped and is not rebuilt");
            self.health.send_modify(|health| health.failed(&ending, false));
            return ControlFlow::Break(());
        }
        let pause = self.restarts.failed(Instant::now());
        self.health.send_modify(|health| health.failed(&ending, pause.is_some()));
        let Some(pause) = pause else {
            let fatal = Fatal::new(actor, &self.supervision.policy, &ending);
            tracing::error!(actor, "{fatal}");
            self.supervision.fatal.send_replace(Some(fatal));
            return ControlFlow::Break(());
        };
        tracing::error!(actor, ?pause, "actor {ending}: it is rebuilt after a pause");
        let last_life = self.last_life.clone();
        last_life.run_until_cancelled(tokio::time::sleep(pause)).await;
        ControlFlow::Continue(())
    }

    fn gone(&self) {
        self.addr.send_replace(None);
        self.health.send_modify(|health| health.alive = false);
    }

    /// Ends the actor's thread. The actors never block theirs, so this waits for the tasks on it to be dropped only.
    fn join(&mut self) {
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
