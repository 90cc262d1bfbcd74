//! An idle host uses nearly no network and no CPU.

use crate::support::{FINGERPRINT, backend, config, connect, result, run, ticket, workflow, write};
use futures::StreamExt as _;
use jetway_engine::backend::{
    HostInfo, Hosts as _, Results as _, SnapshotStore as _, Starts as _, TicketQueue as _,
};
use jetway_state::WorkflowName;
use rustix::time::{ClockId, clock_gettime};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// The CPU time that this thread has used.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap())
}

// On one thread, so that its CPU time is that of the host.
#[tokio::test]
async fn an_idle_host_uses_no_cpu() {
    let mut config = config("asleep").await;
    config.writes.answer_within = Duration::from_millis(500);
    let backend = connect(config).await;
    let mut tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(64))).await.unwrap();
    // Do everything that sets a timer.
    backend.commit(write(&run("a"), 0, "x")).await.unwrap();
    backend.publish(vec![(ticket(&run("a"), "i1"), FINGERPRINT)]).await.unwrap();
    backend.publish_done(result(&run("a"), "{}")).await.unwrap();
    tickets.next().await.unwrap().unwrap().lease.ack().await.unwrap();
    let before = used();
    assert!(
        timeout(Duration::from_secs(3), tickets.next()).await.is_err(),
        "an idle host received something"
    );
    let used = used() - before;
    assert!(used < Duration::from_millis(150), "{used:?} in three idle seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_exchanges_few_messages() {
    let backend = Arc::new(backend("idle").await);
    let mut tasks = Vec::new();
    for name in ["pay", "ship"] {
        let workflow = WorkflowName::new(name).unwrap();
        let mut tickets = backend.tickets(&workflow, Arc::new(Semaphore::new(64))).await.unwrap();
        let mut starts = backend.starts(&workflow, Arc::new(Semaphore::new(16))).await.unwrap();
        tasks.push(tokio::spawn(async move { tickets.next().await.map(drop) }));
        tasks.push(tokio::spawn(async move { starts.next().await.map(drop) }));
    }
    let host = HostInfo {
        host: "idle".to_owned(),
        workflows: Vec::new(),
        slots: 64,
        started_at: String::new(),
        version: String::new(),
        no_room_at: None,
    };
    // A host does this regularly.
    backend.announce(&host).await.unwrap();
    backend.stale(0, jetway_core::clock::now()).await.unwrap();
    backend.dead_letter_unroutable_starts(Duration::from_secs(60)).await.unwrap();
    let (start, before) = (Instant::now(), backend.traffic());
    let window = Duration::from_secs(6);
    let nothing = futures::future::select_all(&mut tasks);
    assert!(timeout(window, nothing).await.is_err(), "an idle host received something");
    // There is one announcement and one sweep in this time: a request for starts and one for signals that nobody takes.
    backend.announce(&host).await.unwrap();
    backend.stale(0, jetway_core::clock::now()).await.unwrap();
    backend.dead_letter_unroutable_starts(Duration::from_secs(60)).await.unwrap();
    let after = backend.traffic();
    let messages = (after.sent - before.sent) + (after.received - before.received);
    let rate = messages as f64 / start.elapsed().as_secs_f64();
    assert!(rate < 2.5, "{rate} messages a second");
    // The host still receives tickets.
    backend.publish(vec![(ticket(&run("a"), "i1"), FINGERPRINT)]).await.unwrap();
    let first = futures::future::select_all(tasks);
    timeout(crate::support::DEADLINE, first).await.expect("the ticket is not delivered").0.unwrap();
}
