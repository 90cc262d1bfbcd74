//! Work items are stored once and delivered once.

use super::{Job, connect, enqueue, lease, next, pending, settle, stores};
use crate::{
    fatal_headers::{end_lease, publish_raw},
    support::{DEADLINE, client, config, heard},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway_core::distributed::{WorkQueue, WorkQueueError};
use jetway_nats::{NatsConfig, NatsStores};
use jetway_testing::wait_until;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_in_the_queue_once() {
    let queue = stores("once").await.waiting_for(Duration::ZERO).work_queue();
    assert_eq!(next(&queue).await, None);
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    enqueue(&queue, "r2", Job::new("a")).await.unwrap();
    let first = lease(&queue).await.unwrap().unwrap();
    assert_eq!((first.run_id.as_str(), first.item.id.as_str()), ("r1", "a"));
    assert_ne!(first.lease, 0);
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    let second = lease(&queue).await.unwrap().unwrap();
    assert_eq!(second.run_id, "r2");
    assert_eq!(next(&queue).await, None);
    settle(&queue, &first).await.unwrap();
    assert_eq!(pending(&queue, "r1").await.unwrap(), []);
    // It is settled, so it can be added again.
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    assert_eq!(next(&queue).await.as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_worker_receives_an_item_at_once() {
    let queue = stores("waits").await.waiting_for(DEADLINE).work_queue();
    let waiting = queue.clone();
    let waiter = tokio::spawn(async move { next(&waiting).await });
    enqueue(&queue, "r1", Job::new("a")).await.unwrap();
    let got = timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap();
    assert_eq!(got.as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_for_a_dropped_request_is_given_back() {
    let config = config("left").await;
    assert_eq!(config.ack_wait, Duration::from_secs(10));
    let queue = connect(&config).await.waiting_for(DEADLINE).work_queue();
    for _ in 0..20 {
        let mut leaving = Box::pin(lease(&queue));
        assert!(futures::poll!(&mut leaving).is_pending());
        enqueue(&queue, "r1", Job::new("a")).await.unwrap();
        drop(leaving);
        let again = timeout(Duration::from_secs(5), lease(&queue)).await.unwrap().unwrap().unwrap();
        settle(&queue, &again).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_items_are_delivered_once_each() {
    const ITEMS: usize = 10_000;
    let config = config("many").await;
    let (one, two) = (connect(&config).await, connect(&config).await);
    let queue = one.work_queue();
    let jobs = (0..ITEMS).map(|number| enqueue(&queue, "r1", Job::new(format!("i{number}"))));
    stream::iter(jobs).buffer_unordered(256).try_collect::<()>().await.unwrap();
    assert_eq!(pending(&queue, "r1").await.unwrap().len(), ITEMS);
    let worker = |stores: &NatsStores| {
        let queue = stores.clone().waiting_for(Duration::from_millis(500)).work_queue();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(leased) = lease(&queue).await.unwrap() {
                settle(&queue, &leased).await.unwrap();
                taken.push(leased.item.id);
            }
            taken
        })
    };
    let workers: Vec<_> = (0..16).map(|number| worker(if number % 2 == 0 { &one } else { &two })).collect();
    let mut taken = Vec::new();
    for worker in workers {
        taken.extend(worker.await.unwrap());
    }
    assert_eq!(taken.len(), ITEMS);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), ITEMS);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_applications_do_not_share_items() {
    let config = config("apps").await;
    let pay = NatsStores::connect(config.clone(), "pay").await.unwrap().waiting_for(Duration::ZERO);
    let ship = NatsStores::connect(config, "ship").await.unwrap().waiting_for(Duration::ZERO);
    enqueue(&pay.work_queue(), "r1", Job::new("a")).await.unwrap();
    assert_eq!(pending(&ship.work_queue(), "r1").await.unwrap(), []);
    assert_eq!(next(&ship.work_queue()).await, None);
    assert_eq!(next(&pay.work_queue()).await.as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_names_are_refused() {
    let stores = stores("names").await;
    let queue = stores.work_queue();
    for bad in ["", "a.b", "*", ">", "a b", "a\nb", &"x".repeat(65)] {
        let refusals = [
            enqueue(&queue, bad, Job::new("a")).await,
            enqueue(&queue, "r1", Job::new(bad)).await,
            pending(&queue, bad).await.map(drop),
            WorkQueue::<(), Job>::purge_run(&queue, bad).await,
        ];
        for refusal in refusals {
            let error = refusal.unwrap_err();
            assert!(matches!(error, WorkQueueError::Other(_)), "{bad:?}: {error}");
            assert!(error.to_string().contains("A-Z, a-z, 0-9"), "{error}");
        }
        assert!(stores.forget_run(bad).await.is_err(), "{bad:?}");
        let refused = NatsStores::connect(NatsConfig::default(), bad).await.unwrap_err();
        assert!(refused.to_string().contains("bad application name"), "{refused}");
    }
    // Nothing was stored.
    assert_eq!(next(&stores.waiting_for(Duration::ZERO).work_queue()).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_large_item_is_refused_with_the_limit() {
    let queue = stores("large").await.work_queue();
    let job = Job { text: "x".repeat(2 << 20), ..Job::new("a") };
    let error = enqueue(&queue, "r1", job).await.unwrap_err().to_string();
    assert!(error.contains("work item a of run r1") && error.contains("the server takes 1044480"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_item_becomes_a_dead_letter() {
    let config = config("garbage").await;
    let queue = connect(&config).await.waiting_for(Duration::ZERO).work_queue();
    let client = client().await;
    let ns = &config.namespace;
    let mut letters = client.subscribe(format!("jetway.{ns}.dead.>")).await.unwrap();
    client.publish(format!("jetway.{ns}.item.pay.r1.bad"), "garbage".into()).await.unwrap();
    heard(&client).await;
    wait_until("the garbage is stored", DEADLINE, async || pending(&queue, "r1").await.is_err()).await;
    enqueue(&queue, "r1", Job::new("good")).await.unwrap();
    assert_eq!(next(&queue).await.as_deref(), Some("good"));
    let letter = timeout(DEADLINE, letters.next()).await.unwrap().unwrap();
    assert_eq!(letter.subject.as_str(), format!("jetway.{ns}.dead.pay.undecodable-item"));
    assert_eq!(&letter.payload[..], b"garbage");
    assert_eq!(pending(&queue, "r1").await.unwrap(), [Job::new("good")]);
}

/// Such an item ends the stores that receive it. The next ones move it to the dead letters first.
#[tokio::test(flavor = "multi_thread")]
async fn a3_a_fatal_header_of_an_item_ends_stores_once() {
    let config = config("fatalitem").await;
    let url = config.servers.addresses()[0].to_string();
    let queue = connect(&config).await.work_queue();
    publish_raw(&url, &format!("jetway.{}.item.pay.r1.bad", config.namespace), "_INBOX.nobody").await;
    enqueue(&queue, "r1", Job::new("good")).await.unwrap();
    assert!(lease(&queue).await.is_err());
    end_lease(&config.namespace, "STORE_ITEMS", "item_pay").await;
    let queue = connect(&config).await.work_queue();
    let leased = lease(&queue).await.unwrap().unwrap();
    assert_eq!(leased.item.id, "good");
    settle(&queue, &leased).await.unwrap();
    assert_eq!(pending(&queue, "r1").await.unwrap(), []);
}
