//! Leases of work items.

use super::{Job, connect, enqueue, lease, next, pending, settle, short_leases};
use crate::support::{DEADLINE, config, config_for};
use jetway_core::distributed::WorkQueue;
use jetway_nats::NatsConfig;
use jetway_testing::NatsServer;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_a_lost_worker_is_delivered_again() {
    let config = short_leases("lost").await;
    let lost = connect(&config).await;
    let queue = lost.work_queue();
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    let held = lease(&queue).await.unwrap().unwrap();
    let others = connect(&config).await;
    // Three times as long as a lease lasts without an extension.
    let patient = others.clone().waiting_for(Duration::from_secs(3)).work_queue();
    assert_eq!(next(&patient).await, None);
    drop((lost, queue));
    let again = lease(&others.waiting_for(DEADLINE).work_queue()).await.unwrap().unwrap();
    assert_eq!(again.item, held.item);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_not_extended_beyond_its_limit() {
    let stores = connect(&short_leases("forgotten").await).await.with_max_lease(Duration::from_millis(200));
    let queue = stores.waiting_for(DEADLINE).work_queue();
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    let forgotten = lease(&queue).await.unwrap().unwrap();
    let again = lease(&queue).await.unwrap().unwrap();
    assert_eq!(again.item, forgotten.item);
    // The old lease has expired and cannot end the new one.
    WorkQueue::<(), Job>::nak(&queue, &forgotten).await.unwrap();
    settle(&queue, &again).await.unwrap();
    assert_eq!(pending(&queue, "r1").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_items_may_be_delayed() {
    const WAITING: usize = 2000;
    let queue = connect(&config("waiting").await).await.waiting_for(Duration::from_secs(5)).work_queue();
    for number in 0..WAITING {
        enqueue(&queue, "r1", Job::new(format!("i{number}"))).await.unwrap();
        let held = lease(&queue).await.unwrap().unwrap();
        WorkQueue::<(), Job>::nak_after(&queue, &held, Duration::from_secs(3600)).await.unwrap();
    }
    enqueue(&queue, "r1", Job::new("now")).await.unwrap();
    assert_eq!(next(&queue).await.as_deref(), Some("now"));
    assert_eq!(pending(&queue, "r1").await.unwrap().len(), WAITING + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_a_restart_of_the_server() {
    let mut server = NatsServer::start().await.unwrap();
    let config = NatsConfig { ack_wait: Duration::from_secs(2), ..config_for(&server, "restart") };
    let stores = connect(&config).await;
    let queue = stores.clone().waiting_for(DEADLINE).work_queue();
    enqueue(&queue, "r1", Job::new("held")).await.unwrap();
    let held = lease(&queue).await.unwrap().unwrap();
    let waiting = queue.clone();
    let waiter = tokio::spawn(async move { next(&waiting).await });
    server.stop().await.unwrap();
    server.restart().await.unwrap();
    enqueue(&queue, "r1", Job::new("late")).await.unwrap();
    // A worker that waited before the restart receives the new item.
    let late = timeout(DEADLINE, waiter).await.unwrap().unwrap();
    assert_eq!(late.as_deref(), Some("late"));
    settle(&queue, &held).await.unwrap();
    assert_eq!(pending(&queue, "r1").await.unwrap(), [Job::new("late")]);
}
