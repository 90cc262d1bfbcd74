//! Announces this host to the others, and removes it when it stops.

use super::CoordinatorShared;
use crate::periodic;
use jetway_engine::{
    Engine,
    backend::{Backend, HostInfo},
};
use std::{convert::Infallible, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::{sleep, timeout};

/// The host announces itself after this fraction of the backend's limit, so that jitter stays within the limit.
const FRACTION_OF_BOUND: f64 = 0.8;

/// How long the removal may take. After that the announcement expires by itself.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// The announcement of a host that starts now.
pub(crate) fn host_info(host: &str, engine: &Engine, slots: usize) -> HostInfo {
    let workflows = engine.workflows().iter();
    HostInfo {
        host: host.to_owned(),
        workflows: workflows.map(|known| (known.name().clone(), known.fingerprint().to_string())).collect(),
        slots,
        started_at: engine.clock().now().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        no_room_at: None,
    }
}

/// Announces the host, at once and as often as the backend requires.
pub(super) async fn announce(shared: CoordinatorShared) -> Infallible {
    let CoordinatorShared { engine, host, counters, .. } = shared;
    let every = engine.backend().announce_every().mul_f64(FRACTION_OF_BOUND);
    periodic::run_every("announcement of the host", Duration::ZERO, every, sleep, async || {
        engine.backend().announce(&host).await?;
        counters.announced.fetch_add(1, Relaxed);
        Ok(())
    })
    .await
}

/// Removes the announcement of the host.
pub(super) async fn leave(backend: &dyn Backend, host: &str) {
    match timeout(LEAVE_LIMIT, backend.leave(host)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(host, %error, "host not removed from the list of hosts: its entry expires")
        }
        Err(_elapsed) => {
            tracing::warn!(host, "host not removed from the list of hosts in time: its entry expires")
        }
    }
}
