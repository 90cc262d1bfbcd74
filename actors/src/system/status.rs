//! What a host is doing.

use crate::{
    coordinator::CoordinatorStatus,
    supervisor::{ActorHealth, Supervised},
    worker::WorkerStatus,
};
use actix::{Actor, Handler, Message, dev::ToEnvelope};
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

/// How long an actor has to say how it goes. Its thread never blocks, so it answers within microseconds or not at all.
const OBSERVE_LIMIT: Duration = Duration::from_secs(1);

/// What a host is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SystemStatus {
    /// The host.
    pub host: String,
    /// When it started, in RFC 3339.
    pub started_at: String,
    /// Tickets and steps.
    pub worker: WorkerStatus,
    /// Starts and duties.
    pub coordinator: CoordinatorStatus,
    /// How the actors fare: worker, coordinator, keeper.
    pub actors: Vec<ActorHealth>,
}

impl SystemStatus {
    /// How often actors were rebuilt.
    pub fn restarts(&self) -> u64 {
        self.actors.iter().map(|actor| actor.restarts.total()).sum()
    }

    /// Whether every actor lives.
    pub fn all_alive(&self) -> bool {
        self.actors.iter().all(|actor| actor.alive)
    }
}

/// Asks an actor; where it does not answer, says what is known without it.
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
