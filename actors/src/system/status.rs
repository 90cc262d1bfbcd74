//! The status of a host.

use crate::{
    coordinator::CoordinatorStatus,
    supervisor::{ActorHealth, Supervised},
    worker::WorkerStatus,
};
use actix::{Actor, Handler, Message, dev::ToEnvelope};
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

/// How long an actor has to answer. Its thread never blocks, so it answers within microseconds or not at all.
const OBSERVE_LIMIT: Duration = Duration::from_secs(1);

/// The status of a host and its actors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SystemStatus {
    /// The name of the host.
    pub host: String,
    /// When it started, in RFC 3339.
    pub started_at: String,
    /// The status of the worker: tickets and steps.
    pub worker: WorkerStatus,
    /// The status of the coordinator: starts and periodic tasks.
    pub coordinator: CoordinatorStatus,
    /// The health of the worker, the coordinator and the lease keeper, in this order.
    pub actors: Vec<ActorHealth>,
}

impl SystemStatus {
    /// The restarts of all actors.
    pub fn restarts(&self) -> u64 {
        self.actors.iter().map(|actor| actor.restarts.total()).sum()
    }

    /// Whether every actor runs.
    pub fn all_alive(&self) -> bool {
        self.actors.iter().all(|actor| actor.alive)
    }
}

/// Asks an actor for its status; without an answer, returns the status known without it.
pub(super) async fn ask<A, M>(
    actor: &Supervised<A>,
    message: M,
    otherwise: impl FnOnce() -> M::Result,
) -> M::Result
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result: Send> + Send + 'static,
{
    let Some(addr) = actor.addr() else {
        return otherwise();
    };
    match timeout(OBSERVE_LIMIT, addr.send(message)).await {
        Ok(Ok(status)) => status,
        Ok(Err(_gone)) => otherwise(),
        Err(_elapsed) => otherwise(),
    }
}
