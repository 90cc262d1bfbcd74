//! The actors of a host, as one thing to start, look at and stop.

mod config;
mod status;
mod thread;

pub use config::{SystemConfig, SystemError};
pub use status::SystemStatus;

use crate::{
    coordinator::{self, Coordinator, CoordinatorCounters, CoordinatorShared},
    drain::{Drain, Drained, STOP_LIMIT},
    lease_keeper::{self, HeldLeases, LeaseKeeper, LeaseKeeperCounters, messages::Finish},
    lifecycle::LifecycleActor,
    slots::Slots,
    supervisor::{Fatal, Supervised, Supervision},
    worker::{self, Worker, WorkerCounters, WorkerShared},
};
use actix::Handler;
use jetway_engine::Engine;
use status::ask;
use std::{fmt, sync::Arc, time::Duration};
use thread::SystemThread;
use tokio::{
    runtime::Handle,
    sync::{OnceCell, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// What an actor may take longer than its own limits to say that it is drained.
const DRAIN_MARGIN: Duration = Duration::from_secs(3);

/// The actors of a host: a worker, a coordinator and a keeper of leases, each supervised and on a thread of its own.
///
/// Stop it with [`drain`](Self::drain). Dropped without, it stops at once: what is in flight is aborted, its tickets
/// come back when their leases end, and a warning is logged.
pub struct ActorSystem {
    worker: Supervised<Worker>,
    coordinator: Supervised<Coordinator>,
    keeper: Supervised<LeaseKeeper>,
    worker_shared: WorkerShared,
    coordinator_shared: CoordinatorShared,
    config: SystemConfig,
    fatal: watch::Receiver<Option<Fatal>>,
    thread: SystemThread,
    drained: OnceCell<Drained>,
}

impl ActorSystem {
    /// Starts the actors of a host.
    ///
    /// Nodes run on `runtime`, a multi-thread runtime. Make it another one than that of the backend's connection: a
    /// node that computes without a pause then blocks other nodes at worst, and never the extension of a lease.
    ///
    /// # Errors
    /// A setting that makes no sense; a thread that cannot be made.
    pub fn start(engine: Arc<Engine>, config: SystemConfig, runtime: Handle) -> Result<Self, SystemError> {
        config.check()?;
        let (worker_shared, coordinator_shared) = shared_state(engine, &config, runtime);
        let (fatal, fatal_seen) = watch::channel(None);
        let supervision = Supervision {
            policy: config.restart.clone(),
            fatal: Arc::new(fatal),
            closing: CancellationToken::new(),
        };

        let shared = worker_shared.clone();
        let factory = move |exit_reason| Worker::new(shared.clone(), exit_reason);
        let (worker_supervisor, worker) = supervision.of("worker", worker::MAILBOX, factory);

        let shared = coordinator_shared.clone();
        let factory = move |exit_reason| Coordinator::new(shared.clone(), exit_reason);
        let (coordinator_supervisor, coordinator) =
            supervision.of("coordinator", coordinator::MAILBOX, factory);

        let (leases, counters) = (worker_shared.leases.clone(), worker_shared.lease_counters.clone());
        let factory = move |exit_reason| LeaseKeeper::new(leases.clone(), counters.clone(), exit_reason);
        let (keeper_supervisor, keeper) = supervision.of("keeper", lease_keeper::MAILBOX, factory);

        let thread = SystemThread::start(&supervision, || async {
            tokio::join!(keeper_supervisor.run(), worker_supervisor.run(), coordinator_supervisor.run());
        });
        let thread = thread.map_err(SystemError::Thread)?;
        Ok(Self {
            worker,
            coordinator,
            keeper,
            worker_shared,
            coordinator_shared,
            config,
            fatal: fatal_seen,
            thread,
            drained: OnceCell::new(),
        })
    }

    /// How the system is set up.
    pub fn config(&self) -> &SystemConfig {
        &self.config
    }

    /// What the host is doing.
    pub async fn observe(&self) -> SystemStatus {
        let (worker, coordinator) = tokio::join!(
            ask(&self.worker, worker::messages::Observe, || self.worker_shared.status()),
            ask(&self.coordinator, coordinator::messages::Observe, || self.coordinator_shared.status()),
        );
        let host = &self.coordinator_shared.host;
        SystemStatus {
            host: host.host.clone(),
            started_at: host.started_at.clone(),
            worker,
            coordinator,
            actors: vec![self.worker.health(), self.coordinator.health(), self.keeper.health()],
        }
    }

    /// Resolves when an actor failed more often than the restart policy allows. Drain the system then, and end the
    /// process with an error. Never resolves for a system that was stopped.
    pub fn fatal(&self) -> impl Future<Output = Fatal> + Send + use<> {
        let mut fatal = self.fatal.clone();
        async move {
            let seen = fatal.wait_for(Option::is_some).await.ok().and_then(|fatal| fatal.clone());
            match seen {
                Some(fatal) => fatal,
                None => std::future::pending().await,
            }
        }
    }

    /// Stops in good order: takes no more tickets and start messages, finishes what is in flight within `limit`, then
    /// cancels the rest and gives its tickets back, says that the host goes, and stops the actors and their threads.
    /// Takes a few seconds more than `limit` at most. Further calls wait for the first and return the same.
    pub async fn drain(&self, limit: Duration) -> Drained {
        *self.drained.get_or_init(|| self.drain_all(limit)).await
    }

    async fn drain_all(&self, limit: Duration) -> Drained {
        let (tickets, starts) = tokio::join!(drain(&self.worker, limit), drain(&self.coordinator, limit));
        // What nobody works on any more is given back, before the process ends and the leases with it.
        if let Some(keeper) = self.keeper.final_addr().await
            && !matches!(timeout(STOP_LIMIT + DRAIN_MARGIN, keeper.send(Finish)).await, Ok(Ok(())))
        {
            tracing::warn!("not every ticket could be given back: the rest comes back when its leases end");
        }
        self.thread.end().await;
        tickets + starts
    }
}

impl Drop for ActorSystem {
    fn drop(&mut self) {
        if self.thread.end_blocking() {
            tracing::warn!("the actor system was dropped before it was drained: its tickets come back later");
        }
    }
}

impl fmt::Debug for ActorSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSystem").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the lives of the actors have in common.
fn shared_state(
    engine: Arc<Engine>,
    config: &SystemConfig,
    runtime: Handle,
) -> (WorkerShared, CoordinatorShared) {
    let leases = Arc::new(HeldLeases::default());
    let slots = |each| Slots::new(each, engine.workflows().iter().map(|workflow| workflow.name()));
    let (steps, starts) = (slots(config.concurrency), slots(config.start_concurrency));
    let host = Arc::new(coordinator::host_info(&config.host, &engine, config.concurrency));
    let worker = WorkerShared {
        engine: engine.clone(),
        runtime: runtime.clone(),
        slots: steps,
        leases: leases.clone(),
        counters: Arc::new(WorkerCounters::default()),
        lease_counters: Arc::new(LeaseKeeperCounters::default()),
    };
    let coordinator = CoordinatorShared {
        engine,
        runtime,
        slots: starts,
        leases,
        counters: Arc::new(CoordinatorCounters::default()),
        host,
        sweep_every: config.sweep_every,
        cleanup_every: config.cleanup_every,
        unroutable_grace: config.unroutable_grace,
    };
    (worker, coordinator)
}

/// Drains one actor. Where it has failed, its work was aborted and its messages are given back by the keeper.
async fn drain<A: LifecycleActor + Handler<Drain>>(actor: &Supervised<A>, limit: Duration) -> Drained {
    let draining = async {
        let addr = actor.final_addr().await?;
        let (reply, report) = oneshot::channel();
        addr.send(Drain { limit, reply }).await.ok()?;
        let drained = report.await.ok()?;
        actor.ended().await;
        Some(drained)
    };
    match timeout(limit.saturating_add(STOP_LIMIT + DRAIN_MARGIN), draining).await {
        Ok(Some(drained)) => drained,
        Ok(None) => {
            tracing::warn!("an actor was down when it was to be drained");
            Drained::default()
        }
        Err(_elapsed) => {
            tracing::warn!("an actor was not drained in time");
            Drained::default()
        }
    }
}
