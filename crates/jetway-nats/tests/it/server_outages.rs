//! Lost replies: servers that are killed, restarted or frozen while writes are in flight.

use crate::support::{
    DEADLINE, FINGERPRINT, config, config_for, connect, loaded, result, run, ticket, write,
};
use futures::{StreamExt as _, stream};
use jetway_engine::backend::{
    BackendErrorKind, Delivery, HostInfo, Hosts, Results, SnapshotStore, TicketQueue,
};
use jetway_nats::{Grouping, NatsBackend, WriteConfig};
use jetway_state::{RunKey, Timestamp, run::WantedResult};
use jetway_testing::{NatsServer, wait_until};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// Writes a run again and again, and checks that each write replaces the one before.
async fn write_repeatedly(
    backend: &NatsBackend,
    run: &RunKey,
    stop: &AtomicBool,
    count: &AtomicU64,
) -> (u64, String) {
    let (mut revision, mut text) = (0, String::new());
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let next = format!("{run} {number}");
        // There is no other writer. So a conflict would be with a write of its own whose reply was lost.
        revision = backend.commit(write(run, revision, &next)).await.unwrap();
        text = next;
        count.fetch_add(1, Ordering::Relaxed);
    }
    (revision, text)
}

async fn survives(server: &mut NatsServer, grouping: Grouping, fault: impl AsyncFn(&mut NatsServer)) {
    let mut config = config_for(server, "outage");
    config.writes = WriteConfig { grouping, ..WriteConfig::default() };
    let backend = Arc::new(connect(config).await);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let (backend, stop, count) = (Arc::clone(&backend), Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                let run = run(&format!("r{number}"));
                let (revision, text) = write_repeatedly(&backend, &run, &stop, &count).await;
                (run, revision, text)
            })
        })
        .collect();
    for _ in 0..2 {
        let before = count.load(Ordering::Relaxed);
        wait_until("writes go on", DEADLINE, async || count.load(Ordering::Relaxed) > before + 500).await;
        fault(server).await;
    }
    let before = count.load(Ordering::Relaxed);
    wait_until("writes go on", DEADLINE, async || count.load(Ordering::Relaxed) > before + 500).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        let (run, revision, text) = timeout(DEADLINE, writer).await.unwrap().unwrap();
        assert_eq!(loaded(&backend, &run).await, Some((text, revision)), "{grouping:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_survive_a_server_that_is_killed() {
    let mut server = NatsServer::start().await.unwrap();
    for grouping in [Grouping::Measure, Grouping::Always, Grouping::Never] {
        survives(&mut server, grouping, async |server| {
            server.kill().await.unwrap();
            server.restart().await.unwrap();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_survive_a_server_that_is_frozen() {
    let mut server = NatsServer::start().await.unwrap();
    let mut config = config_for(&server, "frozen");
    config.writes.answer_within = Duration::from_millis(300);
    let backend = Arc::new(connect(config).await);
    let first = backend.commit(write(&run("a"), 0, "one")).await.unwrap();
    server.pause().await.unwrap();
    let late = Arc::clone(&backend);
    let mut writer = tokio::spawn(async move { late.commit(write(&run("a"), first, "two")).await });
    // Long enough that the reply counts as lost and the write is looked up at least once.
    assert!(timeout(Duration::from_millis(1500), &mut writer).await.is_err());
    server.resume().unwrap();
    let second = timeout(DEADLINE, writer).await.unwrap().unwrap().unwrap();
    assert_eq!(loaded(&backend, &run("a")).await, Some(("two".to_owned(), second)));
}

/// A server that is killed may lose the latest tickets that it acknowledged. The backend reports it, and tickets that are
/// published again are delivered, although they get the sequences of the lost ones.
#[tokio::test(flavor = "multi_thread")]
async fn lost_tickets_are_reported_and_can_be_republished() {
    const TICKETS: usize = 4000;
    let mut server = NatsServer::start().await.unwrap();
    let backend = Arc::new(connect(config_for(&server, "losses")).await);
    let mut losses = backend.ticket_loss_events();
    let mut tickets = backend.tickets(&run("a").workflow, Arc::new(Semaphore::new(TICKETS))).await.unwrap();
    let items: BTreeSet<String> = (0..TICKETS).map(|item| format!("i{item:04}")).collect();
    let publish = async |items: BTreeSet<String>| {
        let tickets = items.iter().map(|item| (ticket(&run("a"), item), FINGERPRINT));
        backend.publish(tickets.collect()).await.unwrap();
    };
    publish(items.clone()).await;
    let mut held: BTreeMap<String, Delivery> = BTreeMap::new();
    let mut take = async |held: &mut BTreeMap<String, Delivery>| {
        let delivery = timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
        held.insert(delivery.ticket.item.to_string(), delivery);
    };
    while held.len() < TICKETS / 2 {
        take(&mut held).await;
    }
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    timeout(DEADLINE, losses.next()).await.unwrap().unwrap();
    let live = backend.items_with_tickets(&run("a"), None).await.unwrap();
    let lost = items.iter().filter(|item| !live.iter().any(|live| live.as_str() == *item)).cloned();
    publish(lost.collect()).await;
    while held.len() < TICKETS {
        take(&mut held).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_a_retryable_error() {
    let mut server = NatsServer::start().await.unwrap();
    let mut config = config_for(&server, "away");
    config.writes.give_up_after = Duration::from_secs(2);
    let backend = connect(config).await;
    backend.commit(write(&run("a"), 0, "one")).await.unwrap();
    server.kill().await.unwrap();
    let commits = (0..20).map(|number| {
        let backend = &backend;
        async move { backend.commit(write(&run(&format!("b{number}")), 0, "two")).await }
    });
    let outcomes: Vec<_> =
        timeout(Duration::from_secs(10), stream::iter(commits).buffered(20).collect()).await.unwrap();
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("may not have been stored"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_and_waiting_for_results_survive_a_restart() {
    let mut server = NatsServer::start().await.unwrap();
    let backend = Arc::new(connect(config_for(&server, "restart")).await);
    let mut tickets = backend.tickets(&run("a").workflow, Arc::new(Semaphore::new(4))).await.unwrap();
    let (waiter, waited) = (Arc::clone(&backend), run("a"));
    let waiting = tokio::spawn(async move { waiter.done(&waited, WantedResult::Latest, DEADLINE).await });
    // Poll once, so that there is a request over the connection that is about to break.
    assert!(timeout(Duration::from_millis(200), tickets.next()).await.is_err());
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    backend.publish(vec![(ticket(&run("a"), "i1"), FINGERPRINT)]).await.unwrap();
    let delivery = timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(delivery.ticket.item.as_str(), "i1");
    backend.publish_done(result(&run("a"), "{}")).await.unwrap();
    let done = timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(done.as_deref(), Some(b"{}".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_a_read_that_fails_does_not_end_a_wait() {
    let mut server = NatsServer::start().await.unwrap();
    let backend = Arc::new(connect(config_for(&server, "failing_reads")).await);
    let (waiter, waited) = (Arc::clone(&backend), run("a"));
    let mut waiting = tokio::spawn(async move { waiter.done(&waited, WantedResult::Latest, DEADLINE).await });
    assert!(timeout(Duration::from_millis(200), &mut waiting).await.is_err());
    server.kill().await.unwrap();
    // Longer than a request waits for its answer.
    assert!(timeout(Duration::from_secs(8), &mut waiting).await.is_err(), "the wait has ended");
    server.restart().await.unwrap();
    backend.publish_done(result(&run("a"), "{}")).await.unwrap();
    let done = timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(done.as_deref(), Some(b"{}".as_slice()));
}

/// If no other host has detected the restart of the server, the first host reports a possible loss since the last write.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_host_reports_a_possible_loss_of_tickets() {
    let config = config("unseen").await;
    let (first, second) = (connect(config.clone()).await, connect(config.clone()).await);
    let unseen = async |backend: &NatsBackend| {
        timeout(Duration::from_secs(1), backend.ticket_loss_events().next()).await.ok()
    };
    assert_eq!(unseen(&first).await, None, "there was no write");
    let before = jetway_core::clock::now();
    first.commit(write(&run("a"), 0, "one")).await.unwrap();
    let after = Timestamp(jetway_core::clock::now().0 + 1);
    let since = unseen(&second).await.flatten().unwrap();
    assert!((before..=after).contains(&since), "{since}");
    let host = HostInfo {
        host: "h1".to_owned(),
        workflows: Vec::new(),
        slots: 4,
        started_at: before.to_string(),
        version: "0.1.0".to_owned(),
        no_room_at: None,
    };
    first.announce(&host).await.unwrap();
    assert!(unseen(&first).await.is_some(), "its own announcement does not count");
    assert_eq!(unseen(&second).await, None, "the first host has detected the restart");
}
