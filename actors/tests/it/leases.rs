//! Steps that run longer than their leases.

use crate::support::{Host, Probe};
use jetway_engine::{backend::Backend, memory::MemoryBackend};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use tokio::sync::Semaphore;

const LEASE: Duration = Duration::from_secs(1);

/// More extensions than fit into the duration of two leases.
const EXTENSIONS: u64 = 7;

fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::with_lease(LEASE))
}

#[tokio::test]
async fn a_step_longer_than_its_lease_keeps_its_ticket() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let slow = Probe::new("slow", move || {
        let gate = waits.clone();
        async move { gate.acquire().await.unwrap().forget() }
    });
    let backend = memory();
    let host = Host::start(&backend, &slow);
    let run = host.publish("slow", "a", 1).await;
    let status = host.until("two leases have passed", |status| status.worker.extended >= EXTENSIONS).await;
    assert_eq!((status.worker.in_flight, status.worker.tickets), (1, 1));
    gate.add_permits(1);
    host.completes(&run, 1).await;
    let status = host.until("the ticket is acknowledged", |status| status.worker.leases == 0).await;
    assert_eq!((slow.executions(), status.worker.extension_failures), (1, 0));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_node_that_blocks_every_thread_keeps_its_ticket() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let blocking = Probe::new("blocking", move || {
        let wait = wait.clone();
        async move { wait.lock().unwrap().recv().unwrap() }
    });
    let backend = memory();
    let host = Host::start(&backend, &blocking);
    let run = host.publish("blocking", "a", 1).await;
    // The coordinator needs the thread too, so the second run waits for the end of the first.
    blocking.has_started(1).await;
    let second = host.publish("blocking", "b", 1).await;
    let status =
        host.until("two leases have passed", |status| status.worker.extended >= 2 * EXTENSIONS).await;
    assert_eq!(status.worker.acked, 0);
    go.send(()).unwrap();
    host.completes(&run, 1).await;
    go.send(()).unwrap();
    host.completes(&second, 1).await;
    let status = host
        .until("both are finished", |status| (status.worker.acked, status.coordinator.started) == (2, 2))
        .await;
    assert_eq!((blocking.executions(), status.worker.tickets, status.worker.extension_failures), (2, 2, 0));
    host.drain(Duration::ZERO).await;
}
