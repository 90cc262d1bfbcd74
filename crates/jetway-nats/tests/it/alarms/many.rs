//! Many alarms, and several hosts.

use super::{SOON, alarm, alarm_at, messages, next, nothing_more, open};
use crate::support::{DEADLINE, backend, client, config, connect, run, workflow};
use async_nats::jetstream::{self, stream};
use futures::{
    StreamExt as _,
    future::join_all,
    stream::{iter, select},
};
use jetway_engine::backend::{Alarms as _, Hosts as _, TicketQueue as _};
use jetway_nats::Grouping;
use jetway_testing::wait_until;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_forward_each_wake_up_once() {
    let config = config("pair").await;
    let (one, other) = (connect(config.clone()).await, connect(config).await);
    let mut tickets = select(open(&one).await, open(&other).await).boxed();
    for number in 0..60 {
        one.arm(alarm(&one, SOON, &run(&format!("r{number}")), "i1")).await.unwrap();
    }
    let mut runs = BTreeSet::new();
    while runs.len() < 60 {
        let delivery = next(&mut tickets).await;
        assert!(runs.insert(delivery.ticket.run_id.clone()), "{:?} came twice", delivery.ticket);
        delivery.lease.ack().await.unwrap();
    }
    nothing_more(&mut tickets).await;
    wait_until("all wake-ups are acknowledged", DEADLINE, async || messages(&one).await == 0).await;
}

/// A stream that is synced takes alarms in batches.
#[tokio::test(flavor = "multi_thread")]
async fn alarms_are_armed_in_batches() {
    let mut config = config("batches").await;
    let name = format!("JETWAY_{}_TIMERS", config.namespace);
    drop(connect(config.clone()).await);
    let jetstream = jetstream::new(client().await);
    let asynchronous = jetstream.get_stream(&name).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(&name).await.unwrap();
    let synced = stream::Config { persist_mode: None, allow_atomic_publish: true, ..asynchronous };
    wait_until("the stream is made", DEADLINE, async || jetstream.create_stream(&synced).await.ok()).await;
    config.writes.grouping = Grouping::Always;
    let backend = connect(config).await;
    let mut tickets = open(&backend).await;
    let due = backend.clock().now().after(SOON);
    // Each of them twice: a batch cannot have both.
    let arming = (0..60).map(|number| backend.arm(alarm_at(due, &run(&format!("r{}", number % 30)), "i1")));
    for armed in join_all(arming).await {
        armed.unwrap();
    }
    let mut runs = BTreeSet::new();
    while runs.len() < 30 {
        let delivery = next(&mut tickets).await;
        assert!(delivery.ticket.at >= due, "early");
        assert!(runs.insert(delivery.ticket.run_id.clone()), "{:?} came twice", delivery.ticket);
        delivery.lease.ack().await.unwrap();
    }
    nothing_more(&mut tickets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alarms_ring_together() {
    const ALARMS: usize = 10_000;
    let backend = Arc::new(backend("many").await);
    let mut tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(256))).await.unwrap();
    let due = backend.clock().now().after(Duration::from_secs(8));
    let started = Instant::now();
    let arming = iter(0..ALARMS).map(|number| {
        // They are due within one second.
        let due = due.after(Duration::from_millis(number as u64 % 1000));
        let (backend, alarm) = (Arc::clone(&backend), alarm_at(due, &run(&format!("r{number}")), "i1"));
        async move { backend.arm(alarm).await.unwrap() }
    });
    arming.buffer_unordered(1000).collect::<()>().await;
    let armed = started.elapsed();
    let (mut runs, mut latest) = (BTreeSet::new(), due);
    while runs.len() < ALARMS {
        let delivery = next(&mut tickets).await;
        assert!(delivery.ticket.at >= due, "early");
        latest = latest.max(delivery.ticket.at);
        assert!(runs.insert(delivery.ticket.run_id.clone()), "{:?} came twice", delivery.ticket);
        delivery.lease.ack().await.unwrap();
    }
    let rung = latest.since(due);
    println!("{ALARMS} alarms: armed in {armed:?}, all rung {rung:?} after the first was due");
    assert!(rung < Duration::from_secs(30), "the last one rang after {rung:?}");
}
