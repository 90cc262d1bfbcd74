//! The handle on a supervised actor.

use super::ActorHealth;
use actix::{Actor, Addr};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A handle on a supervised actor. Each instance of the actor has another address.
pub(crate) struct Supervised<A: Actor> {
    addr: watch::Receiver<Option<Addr<A>>>,
    health: watch::Receiver<ActorHealth>,
    no_restart: CancellationToken,
}

impl<A: Actor> Supervised<A> {
    pub(super) fn new(
        addr: watch::Receiver<Option<Addr<A>>>,
        health: watch::Receiver<ActorHealth>,
        no_restart: CancellationToken,
    ) -> Self {
        Self { addr, health, no_restart }
    }

    /// The address of the current instance; `None` during a restart and after the last instance.
    pub(crate) fn addr(&self) -> Option<Addr<A>> {
        self.addr.borrow().clone()
    }

    /// Disables restarts. Returns the address of the last instance, or `None` if there is none.
    pub(crate) async fn final_addr(&self) -> Option<Addr<A>> {
        self.no_restart.cancel();
        // Waits for an instance that is starting. The supervisor drops its sender if there will be none.
        let mut addr = self.addr.clone();
        let running = addr.wait_for(Option::is_some).await.ok()?;
        running.clone()
    }

    /// Waits until the actor has stopped for good.
    pub(crate) async fn ended(&self) {
        let mut addr = self.addr.clone();
        while addr.changed().await.is_ok() {}
    }

    /// The health of the actor.
    pub(crate) fn health(&self) -> ActorHealth {
        self.health.borrow().clone()
    }
}
