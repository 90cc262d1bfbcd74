//! The handle on a supervised actor.

use super::ActorHealth;
use actix::{Actor, Addr};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A supervised actor, seen from outside: its address changes from life to life.
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

    /// The address of the actor that lives now; `None` between two lives and after the last.
    pub(crate) fn addr(&self) -> Option<Addr<A>> {
        self.addr.borrow().clone()
    }

    /// The address of the actor that lives now, which is not rebuilt any more; `None` where none will live again.
    pub(crate) async fn final_addr(&self) -> Option<Addr<A>> {
        self.no_restart.cancel();
        // A life that is just being born is waited for. The supervisor drops its end when there will be none.
        let mut addr = self.addr.clone();
        let alive = addr.wait_for(Option::is_some).await.ok()?;
        alive.clone()
    }

    /// Waits until the actor does not live and will not live again.
    pub(crate) async fn ended(&self) {
        let mut addr = self.addr.clone();
        while addr.changed().await.is_ok() {}
    }

    /// How the actor fares.
    pub(crate) fn health(&self) -> ActorHealth {
        self.health.borrow().clone()
    }
}
