//! Says that this host is alive, and that it goes.

use super::CoordinatorShared;
use crate::periodic;
use jetway_engine::{
    Engine,
    backend::{Backend, HostInfo},
};
use std::{convert::Infallible, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{sleep, timeout};

/// The part of the backend's bound at which the host announces itself, with jitter still within the bound.
const FRACTION_OF_BOUND: f64 = 0.6;

/// How long saying goodbye may take: the announcement expires by itself.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What is said about a host that starts now.
pub(crate) fn host_info(host: &str, engine: &Engine, slots: usize) -> HostInfo {
    let workflows = engine.workflows().iter();
    HostInfo {
        host: host.to_owned(),
        workflows: workflows.map(|known| (known.name().clone(), known.fingerprint().to_string())).collect(),
        slots,
        started_at: engine.clock().now().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Announces the host, at once and as often as the backend asks for.
pub(super) async fn announce(shared: CoordinatorShared) -> Infallible {
    let CoordinatorShared { engine, host, counters, .. } = shared;
    let every = engine.backend().announce_every().mul_f64(FRACTION_OF_BOUND);
    periodic::run_every("announcing the host", Duration::ZERO, every, sleep, async || {
        engine.backend().announce(&host).await?;
        counters.announced.fetch_add(1, Relaxed);
        Ok(())
    })
    .await
}

/// Says that the host goes.
pub(super) async fn leave(backend: &dyn Backend, host: &str) {
    match timeout(LEAVE_LIMIT, backend.leave(host)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the host could not say that it goes: its entry expires"),
        Err(_elapsed) => tracing::warn!("the host could not say that it goes in time: its entry expires"),
    }
}
