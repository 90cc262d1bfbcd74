//! Starts, observes and stops the actors of a host together.

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

/// How long an actor may exceed its own limits before its drain counts as failed.
const DRAIN_MARGIN: Duration = Duration::from_secs(3);

/// The actors of a host: a worker, a coordinator and a lease keeper, each supervised and on its own thread.
///
/// Stop it with [`drain`](Self::drain). If it is dropped instead, it stops at once: the work in flight is aborted, its
/// tickets are delivered again when their leases end, and a warning is logged.
pub struct ActorSystem {
    worker: Supervised<Worker>,
    coordinator: Supervised<Coordinator>,
    lease_keeper: Supervised<LeaseKeeper>,
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
    /// Nodes run on `runtime`, a multi-thread runtime. Use another runtime than that of the backend's connection: then a
    /// node that computes without an await can block other nodes, but not the extension of leases.
    ///
    /// # Errors
    /// If a setting is invalid, or a thread cannot be started.
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
        let (lease_keeper_supervisor, lease_keeper) =
            supervision.of("lease_keeper", lease_keeper::MAILBOX, factory);

        let thread = SystemThread::start(&supervision, || async {
            tokio::join!(
                lease_keeper_supervisor.run(),
                worker_supervisor.run(),
                coordinator_supervisor.run()
            );
        });
        let thread = thread.map_err(SystemError::Thread)?;
        Ok(Self {
            worker,
            coordinator,
            lease_keeper,
            worker_shared,
            coordinator_shared,
            config,
            fatal: fatal_seen,
            thread,
            drained: OnceCell::new(),
        })
    }

    /// The settings of the system.
    pub fn config(&self) -> &SystemConfig {
        &self.config
    }

    /// The status of the host and its actors.
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
            actors: vec![self.worker.health(), self.coordinator.health(), self.lease_keeper.health()],
        }
    }

    /// Resolves when an actor failed more often than the restart policy allows. Then drain the system, and exit the
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

    /// Stops gracefully: accepts no more tickets and start messages, waits up to `limit` for the work in flight, then
    /// cancels the rest and gives its tickets back, removes the host from the list of hosts, and stops the actors and
    /// their threads. This can take a few seconds more than `limit`. Further calls wait for the first one and return
    /// the same.
    pub async fn drain(&self, limit: Duration) -> Drained {
        *self.drained.get_or_init(|| self.drain_all(limit)).await
    }

    async fn drain_all(&self, limit: Duration) -> Drained {
        let (tickets, starts) = tokio::join!(drain(&self.worker, limit), drain(&self.coordinator, limit));
        // Gives back the tickets of aborted work now; otherwise they would wait until their leases end.
        if let Some(lease_keeper) = self.lease_keeper.final_addr().await
            && !matches!(timeout(STOP_LIMIT + DRAIN_MARGIN, lease_keeper.send(Finish)).await, Ok(Ok(())))
        {
            tracing::warn!("some tickets not given back: they are delivered again when their leases end");
        }
        self.thread.end().await;
        // The subscriptions have ended with the thread. Tickets that the backend was delivering to them wait for a lease else.
        let backend = self.coordinator_shared.engine.backend();
        if timeout(STOP_LIMIT, backend.give_back_late()).await.is_err() {
            tracing::warn!("some tickets not given back: they are delivered again when their leases end");
        }
        tickets + starts
    }
}

impl Drop for ActorSystem {
    fn drop(&mut self) {
        if self.thread.end_blocking() {
            tracing::warn!(
                "actor system dropped without a drain: its tickets are delivered again when their leases end"
            );
        }
    }
}

impl fmt::Debug for ActorSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSystem").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The state that survives restarts of the actors.
fn shared_state(
    engine: Arc<Engine>,
    config: &SystemConfig,
    runtime: Handle,
) -> (WorkerShared, CoordinatorShared) {
    let leases = Arc::new(HeldLeases::default());
    let slots = |each| Slots::new(each, engine.workflows().iter().map(|workflow| workflow.name()));
    let (steps, starts) = (slots(config.concurrency), slots(config.start_concurrency));
    let signals = slots(config.start_concurrency);
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
        signal_slots: signals,
        leases,
        counters: Arc::new(CoordinatorCounters::default()),
        host,
        sweep_every: config.sweep_every,
        cleanup_every: config.cleanup_every,
        unroutable_grace: config.unroutable_grace,
    };
    (worker, coordinator)
}

/// Drains one actor. If it has failed, its work was aborted and the lease keeper gives its messages back.
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
            tracing::warn!(actor = actor.health().actor, "actor not drained: it is not running");
            Drained::default()
        }
        Err(_elapsed) => {
            tracing::warn!(actor = actor.health().actor, "actor not drained in time");
            Drained::default()
        }
    }
}
