//! Actors that fail.

use crate::support::{DEADLINE, Fault, Faults, Host, Probe};
use futures::FutureExt;
use jetway_engine::{
    backend::{Backend, BackendErrorKind},
    memory::MemoryBackend,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, Semaphore};

fn faulty(faults: impl IntoIterator<Item = Fault>) -> Arc<dyn Backend> {
    Arc::new(Faults::streams(faults))
}

/// A stream that panics at once.
fn panics() -> Fault {
    let now = Notify::new();
    now.notify_one();
    Fault::Panics(Arc::new(now))
}

#[tokio::test]
async fn a_stream_that_fails_is_opened_again_without_a_restart() {
    let chain = Probe::new("chain", async || ());
    let backend = faulty([Fault::Errs(BackendErrorKind::Unavailable), Fault::Ends]);
    let host = Host::start(&backend, &chain);
    let run = host.publish("chain", "a", 3).await;
    host.completes(&run, 3).await;
    let status = host.observe().await;
    assert_eq!((status.worker.reopened, status.restarts()), (2, 0));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_worker_that_panics_is_restarted() {
    let chain = Probe::new("chain", async || ());
    let backend = faulty([panics(), panics(), panics()]);
    let host = Host::start(&backend, &chain);
    let run = host.publish("chain", "a", 3).await;
    host.completes(&run, 3).await;
    let status = host
        .until("the fourth instance takes tickets", |status| status.actors[0].restarts.panicked == 3)
        .await;
    assert_eq!((status.actors[0].actor, status.restarts()), ("worker", 3));
    assert_eq!(status.actors[0].last_failure.as_deref(), Some("panicked: by order of the test"));
    assert!(host.fatal().now_or_never().is_none());
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_panicking_worker_gives_back_its_tickets() {
    let (now, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let waits = gate.clone();
    let gated = Probe::new("gated", move || {
        let gate = waits.clone();
        async move { gate.acquire().await.unwrap().forget() }
    })
    .ignoring_cancellation();
    let backend = faulty([Fault::Panics(now.clone())]);
    let host = Host::start(&backend, &gated);
    let run = host.publish("gated", "a", 1).await;
    gated.has_started(1).await;
    now.notify_one();
    // The lease is longer than the deadline of the test.
    let status = host
        .until("only the second attempt is in flight", |status| {
            let worker = &status.worker;
            (worker.tickets, worker.in_flight, worker.dropped) == (2, 1, 1)
        })
        .await;
    assert_eq!(status.restarts(), 1);
    gate.add_permits(1);
    host.completes(&run, 1).await;
    assert_eq!(gated.executions(), 2);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_misconfigured_backend_is_fatal_after_restarts() {
    let chain = Probe::new("chain", async || ());
    let backend = faulty(std::iter::repeat_n(Fault::Refused(BackendErrorKind::Misconfigured), 100));
    let host = Host::with(&backend, &[&chain], |config| config.restart.limit = 3);
    let fatal = tokio::time::timeout(DEADLINE, host.fatal()).await.unwrap();
    assert_eq!((fatal.actor, fatal.restarts), ("worker", 3));
    assert_eq!(fatal.failure, "failed: by order of the test");
    let status = host.until("the worker is down", |status| !status.actors[0].alive).await;
    assert_eq!((status.actors[0].restarts.failed, status.worker.answered), (3, false));
    assert!(status.coordinator.answered, "the other actors run until the host drains");
    let drained = host.drain(Duration::from_secs(3600)).await;
    assert_eq!((drained.finished, drained.nacked), (0, 0));
    assert_eq!(host.fatal().now_or_never(), Some(fatal));
}

#[tokio::test]
async fn a_runtime_shutdown_uses_up_no_attempts() {
    let chain = Probe::new("chain", async || ());
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::with_lease(Duration::from_millis(300)));
    let mut first = Host::with(&backend, &[&chain], |config| config.restart.limit = 1);
    first.end_nodes();
    let run = first.start_directly("chain", "a", 1).await;
    first.until("the worker has failed", |status| status.actors[0].last_failure.is_some()).await;
    let status = first.observe().await;
    let failure = status.actors[0].last_failure.as_deref().unwrap();
    assert!(failure.starts_with("failed: the runtime of the nodes has shut down"), "{failure}");
    let fatal = tokio::time::timeout(DEADLINE, first.fatal()).await.unwrap();
    assert_eq!(fatal.actor, "worker");
    let status = first.observe().await;
    assert_eq!(
        (status.worker.tickets, status.worker.dropped),
        (2, 0),
        "one for each instance, a lease apart"
    );

    let second = Host::start(&backend, &chain);
    second.completes(&run, 1).await;
    second.drain(Duration::ZERO).await;
}
