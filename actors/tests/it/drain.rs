//! Hosts that drain.

use crate::support::{DEADLINE, Host, Probe};
use jetway_engine::{backend::Backend, memory::MemoryBackend};
use jetway_testing::wait_until;
use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// A test that waits for a lease to end fails.
const LEASE: Duration = Duration::from_secs(3600);

fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::with_lease(LEASE))
}

/// A workflow whose steps each wait for a permit.
fn gated(gate: &Arc<Semaphore>) -> Probe {
    let gate = gate.clone();
    Probe::new("gated", move || {
        let gate = gate.clone();
        async move { gate.acquire().await.unwrap().forget() }
    })
}

#[tokio::test]
async fn a_drain_finishes_work_in_flight_and_accepts_no_more() {
    let (backend, gate) = (memory(), Arc::new(Semaphore::new(0)));
    let workflow = gated(&gate);
    let host = Host::with(&backend, &[&workflow], |config| config.concurrency = 2);
    let runs = [host.publish("gated", "a", 1).await, host.publish("gated", "b", 1).await];
    host.until("both are in flight", |status| status.worker.in_flight == 2).await;
    let waiting = host.publish("gated", "c", 1).await;
    host.until("the third run is started", |status| status.coordinator.started == 3).await;

    let opened = async {
        host.until("the worker drains", |status| status.worker.draining).await;
        gate.add_permits(3);
    };
    let (drained, ()) = tokio::join!(host.drain(DEADLINE), opened);

    assert_eq!((drained.finished, drained.nacked, drained.abandoned), (2, 0, 0));
    for run in &runs {
        host.completes(run, 1).await;
    }
    assert_eq!(workflow.executions(), 2);
    assert_eq!(
        backend.items_with_tickets(&waiting, None).await.unwrap().len(),
        1,
        "the third ticket was taken"
    );
    assert!(!host.observe().await.worker.answered);
}

#[tokio::test]
async fn unfinished_work_is_given_back_at_the_limit() {
    let (backend, gate) = (memory(), Arc::new(Semaphore::new(0)));
    let workflow = gated(&gate);
    let first = Host::start(&backend, &workflow);
    let run = first.start_directly("gated", "a", 1).await;
    workflow.has_started(1).await;
    let drained = first.drain(Duration::from_millis(10)).await;
    assert_eq!((drained.finished, drained.nacked, drained.abandoned), (0, 1, 0));
    let status = first.observe().await;
    assert_eq!((status.worker.nacked, status.worker.dropped), (1, 0), "the step was stopped, not dropped");

    gate.add_permits(1);
    let second = Host::start(&backend, &workflow);
    second.completes(&run, 1).await;
    assert_eq!(workflow.executions(), 2);
    second.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_blocking_node_does_not_delay_a_drain() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let blocking = Probe::new("blocking", move || {
        let wait = wait.clone();
        async move {
            // The first attempt waits for the permission; the second one finds the lock taken and continues.
            let permission = wait.try_lock().map(|wait| wait.recv());
            assert!(permission.is_err() || permission.unwrap().is_ok());
        }
    });
    let backend = memory();
    let first = Host::start(&backend, &blocking);
    let run = first.start_directly("blocking", "a", 1).await;
    blocking.has_started(1).await;
    let began = Instant::now();
    let drained = first.drain(Duration::from_millis(10)).await;
    assert_eq!((drained.finished, drained.nacked, drained.abandoned), (0, 1, 0));
    assert!(began.elapsed() < DEADLINE, "the drain took {:?}", began.elapsed());

    let second = Host::start(&backend, &blocking);
    second.completes(&run, 1).await;
    second.drain(Duration::ZERO).await;
    go.send(()).unwrap();
}

#[tokio::test]
async fn an_idle_host_drains_at_once_and_only_once() {
    let backend = memory();
    let host = Host::start(&backend, &Probe::new("chain", async || ()));
    host.until("all actors run", |status| status.all_alive()).await;
    let began = Instant::now();
    assert_eq!(host.drain(Duration::from_secs(3600)).await.finished, 0);
    host.drain(Duration::from_secs(3600)).await;
    assert!(began.elapsed() < DEADLINE);
    let status = host.observe().await;
    assert!(status.actors.iter().all(|actor| !actor.alive && actor.restarts.total() == 0), "{status:?}");
}

#[tokio::test]
async fn tickets_of_a_dropped_host_return_when_leases_end() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::with_lease(Duration::from_millis(300)));
    let gate = Arc::new(Semaphore::new(0));
    let workflow = gated(&gate);
    let first = Host::start(&backend, &workflow);
    let run = first.start_directly("gated", "a", 1).await;
    workflow.has_started(1).await;
    drop(first);
    wait_until("the step is dropped", DEADLINE, async || Arc::strong_count(&gate) == 2).await;

    gate.add_permits(1);
    let second = Host::start(&backend, &workflow);
    second.completes(&run, 1).await;
    second.drain(Duration::ZERO).await;
}
