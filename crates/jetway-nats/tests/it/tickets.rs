//! Tickets: published once, leased to one worker, delivered again.

use crate::support::{DEADLINE, FINGERPRINT, backend, client, config, connect, heard, run, ticket, workflow};
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use jetway_engine::backend::{BackendError, Delivery, Hosts as _, SnapshotStore as _, Ticket, TicketQueue};
use jetway_nats::{Grouping, NatsBackend, NatsConfig};
use jetway_state::{Seen, Timestamp};
use jetway_testing::wait_until;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::AbortOnDropHandle;

type Tickets = BoxStream<'static, Result<Delivery, BackendError>>;

async fn publish(backend: &NatsBackend, tickets: impl IntoIterator<Item = Ticket>) {
    let tickets = tickets.into_iter().map(|ticket| (ticket, FINGERPRINT)).collect();
    backend.publish(tickets).await.unwrap();
}

async fn open(backend: &NatsBackend, slots: usize) -> Tickets {
    backend.tickets(&workflow(), Arc::new(Semaphore::new(slots))).await.unwrap()
}

async fn next(tickets: &mut Tickets) -> Delivery {
    timeout(DEADLINE, tickets.next()).await.expect("no ticket is delivered").unwrap().unwrap()
}

async fn nothing_more(tickets: &mut Tickets) {
    let more = timeout(Duration::from_millis(400), tickets.next()).await;
    assert!(more.is_err(), "{more:?}");
}

async fn leases(label: &str, ack_wait: Duration) -> NatsBackend {
    connect(NatsConfig { ack_wait, ..config(label).await }).await
}

/// Leases that expire during a test.
async fn short_leases(label: &str) -> NatsBackend {
    leases(label, Duration::from_secs(1)).await
}

/// Leases that do not expire during a test: a ticket that is delivered again was given back.
async fn long_leases(label: &str) -> NatsBackend {
    leases(label, Duration::from_secs(600)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_delivered_as_published() {
    let backend = backend("tickets").await;
    let mut tickets = open(&backend, 4).await;
    let sent = ticket(&run("a"), "i1");
    publish(&backend, [sent.clone()]).await;
    let delivery = next(&mut tickets).await;
    assert_eq!(delivery.ticket, Ticket { at: delivery.ticket.at, ..sent });
    assert_eq!((delivery.fingerprint, delivery.delivered), (FINGERPRINT, 1));
    assert_eq!(delivery.lease.duration(), NatsConfig::default().ack_wait);
    delivery.lease.ack().await.unwrap();
    drop(delivery);
    nothing_more(&mut tickets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_ticket_has_the_time_of_the_server() {
    let backend = backend("ticket-time").await;
    let mut tickets = open(&backend, 4).await;
    let hour = Duration::from_secs(3600);
    let mut last = backend.clock().now();
    for (item, off) in [("i1", last.before(hour)), ("i2", last.after(hour)), ("i3", Timestamp(u64::MAX))] {
        publish(&backend, [Ticket { at: off, ..ticket(&run("a"), item) }]).await;
        let delivery = next(&mut tickets).await;
        let (at, now) = (delivery.ticket.at, backend.clock().now());
        assert!((last..=now).contains(&at), "{item}: published at {at}, between {last} and {now}");
        assert!(now.since(at) < DEADLINE);
        last = at;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_carries_its_trace_in_headers() {
    let backend = backend("trace").await;
    let client = client().await;
    let subject = format!("jetway.{}.work.>", backend.namespace());
    let mut seen = client.subscribe(subject).await.unwrap();
    heard(&client).await;
    publish(&backend, [ticket(&run("a"), "i1")]).await;
    let message = timeout(DEADLINE, seen.next()).await.unwrap().unwrap();
    assert!(message.subject.ends_with(".work.pay.charge.a.i1.00000000"), "{}", message.subject);
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("traceparent").unwrap().as_str(), "00-aa-bb-01");
    assert_eq!(headers.get("tracestate").unwrap().as_str(), "vendor=x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ticket_of_an_item_is_refused() {
    for grouping in [Grouping::Never, Grouping::Always] {
        let mut config = config("twice").await;
        config.writes.grouping = grouping;
        let backend = connect(config).await;
        let twice =
            |numbers: std::ops::Range<usize>| numbers.map(|number| ticket(&run("a"), &format!("i{number}")));
        publish(&backend, twice(0..40)).await;
        publish(&backend, twice(20..60)).await;
        let live = backend.items_with_tickets(&run("a"), None).await.unwrap();
        assert_eq!(live.len(), 60, "{grouping:?}");
        let mut tickets = open(&backend, 100).await;
        let mut items = BTreeSet::new();
        for _ in 0..60 {
            let delivery = next(&mut tickets).await;
            assert_eq!(delivery.delivered, 1);
            assert!(items.insert(delivery.ticket.item.clone()), "{:?} came twice", delivery.ticket);
            delivery.lease.ack().await.unwrap();
        }
        nothing_more(&mut tickets).await;
        wait_until("there are no tickets", DEADLINE, async || {
            backend.items_with_tickets(&run("a"), None).await.unwrap().is_empty()
        })
        .await;
        // After the acknowledgement, the item can have a ticket again.
        publish(&backend, twice(0..1)).await;
        assert_eq!(next(&mut tickets).await.ticket.item.as_str(), "i0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_items_with_tickets_of_one_run_are_listed() {
    let backend = backend("live").await;
    publish(&backend, [ticket(&run("a"), "i1"), ticket(&run("a"), "i2"), ticket(&run("ab"), "i3")]).await;
    let live = backend.items_with_tickets(&run("a"), None).await.unwrap();
    assert_eq!(live.iter().map(|item| item.as_str()).collect::<Vec<_>>(), ["i1", "i2"]);
    assert!(backend.items_with_tickets(&run("c"), None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_lease_expires_is_delivered_again() {
    let backend = short_leases("lease").await;
    let mut tickets = open(&backend, 4).await;
    publish(&backend, [ticket(&run("a"), "i1")]).await;
    let first = next(&mut tickets).await;
    assert_eq!(first.lease.duration(), Duration::from_secs(1));
    let again = next(&mut tickets).await;
    assert_eq!((again.ticket.item.as_str(), again.delivered), ("i1", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_whose_lease_is_extended_stays_with_its_worker() {
    let backend = short_leases("alive").await;
    let mut tickets = open(&backend, 4).await;
    publish(&backend, [ticket(&run("a"), "i1")]).await;
    let held = next(&mut tickets).await;
    for _ in 0..8 {
        held.lease.extend().await.unwrap();
        nothing_more(&mut tickets).await;
    }
    held.lease.ack().await.unwrap();
    assert_eq!(held.delivered, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_given_back_is_delivered_at_once() {
    let backend = long_leases("back").await;
    let mut tickets = open(&backend, 4).await;
    publish(&backend, [ticket(&run("a"), "i1")]).await;
    next(&mut tickets).await.lease.nak().await.unwrap();
    let again = next(&mut tickets).await;
    assert_eq!((again.delivered, again.ticket.given_back), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn u2_tickets_that_arrive_too_late_are_delivered_once() {
    let backend = long_leases("late").await;
    publish(&backend, (0..200).map(|number| ticket(&run("a"), &format!("i{number}")))).await;
    for _ in 0..10 {
        // The server delivers all of them, and nobody takes more than one.
        let mut stopping = open(&backend, 200).await;
        next(&mut stopping).await.lease.nak().await.unwrap();
        drop(stopping);
        backend.give_back_late().await;
    }
    let mut tickets = open(&backend, 200).await;
    let mut items = BTreeSet::new();
    while items.len() < 200 {
        let delivery = next(&mut tickets).await;
        assert_eq!((delivery.delivered, delivery.ticket.attempt), (1, 1), "{:?}", delivery.ticket);
        assert!(items.insert(delivery.ticket.item.clone()), "item {} has two tickets", delivery.ticket.item);
        delivery.lease.ack().await.unwrap();
    }
    nothing_more(&mut tickets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_tickets_are_taken_than_there_are_slots() {
    let backend = short_leases("slots").await;
    let (mine, other) = (Arc::new(Semaphore::new(3)), Arc::new(Semaphore::new(100)));
    let mut tickets = backend.tickets(&workflow(), Arc::clone(&mine)).await.unwrap();
    publish(&backend, (0..10).map(|number| ticket(&run("a"), &format!("i{number}")))).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut tickets).await);
    }
    nothing_more(&mut tickets).await;
    // If more than three had been requested, the others would be leased and not be delivered here.
    let mut rest = backend.tickets(&workflow(), other).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..7 {
        let delivery = timeout(Duration::from_millis(900), rest.next()).await;
        let delivery = delivery.expect("a ticket is leased without a slot").unwrap().unwrap();
        assert_eq!(delivery.delivered, 1);
        delivery.lease.ack().await.unwrap();
        others.push(delivery);
    }
    held.pop().unwrap().lease.ack().await.unwrap();
    drop(rest);
    publish(&backend, [ticket(&run("a"), "more")]).await;
    assert_eq!(next(&mut tickets).await.ticket.item.as_str(), "more");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ticket_is_delivered_once_under_load() {
    let backend = Arc::new(backend("load").await);
    let count = 3000;
    let publisher = Arc::clone(&backend);
    let publishing = tokio::spawn(async move {
        for part in 0..30 {
            let items = (part * 100..(part + 1) * 100).map(|number| ticket(&run("a"), &format!("i{number}")));
            publish(&publisher, items).await;
        }
    });
    let mut pulls = [open(&backend, 20).await, open(&backend, 7).await, open(&backend, 1).await];
    let mut items = BTreeSet::new();
    let collect = async {
        while items.len() < count {
            let [one, two, three] = &mut pulls;
            let delivery = tokio::select! {
                delivery = one.next() => delivery,
                delivery = two.next() => delivery,
                delivery = three.next() => delivery,
            };
            let delivery = delivery.unwrap().unwrap();
            delivery.lease.ack().await.unwrap();
            assert_eq!(delivery.delivered, 1);
            assert!(items.insert(delivery.ticket.item));
        }
    };
    timeout(DEADLINE, collect).await.expect("the tickets are too slow");
    publishing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_dropped_stream_are_given_back() {
    let backend = Arc::new(long_leases("dropped").await);
    // Other traffic on the connection, as hosts have it: the stream ends between other commands.
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let backend = Arc::clone(&backend);
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    backend.load(&run("nobody"), Seen::default()).await.unwrap();
                }
            }))
        })
        .collect();
    for round in 0..100 {
        let mut first = open(&backend, 50).await;
        let publishing = tokio::spawn({
            let backend = Arc::clone(&backend);
            async move {
                publish(&backend, (0..50).map(|number| ticket(&run("a"), &format!("i{round}-{number}"))))
                    .await;
            }
        });
        // Most of the messages are on their way when the stream ends.
        next(&mut first).await.lease.ack().await.unwrap();
        drop(first);
        publishing.await.unwrap();
        let mut second = open(&backend, 50).await;
        for _ in 0..49 {
            next(&mut second).await.lease.ack().await.unwrap();
        }
    }
    drop(traffic);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_is_created_again() {
    let backend = backend("deleted").await;
    let mut tickets = open(&backend, 4).await;
    publish(&backend, [ticket(&run("a"), "i1")]).await;
    next(&mut tickets).await.lease.ack().await.unwrap();
    let jetstream = async_nats::jetstream::new(client().await);
    let stream = jetstream.get_stream(format!("JETWAY_{}_WORK", backend.namespace())).await.unwrap();
    stream.delete_consumer("work_pay").await.unwrap();
    publish(&backend, [ticket(&run("a"), "i2")]).await;
    assert_eq!(next(&mut tickets).await.ticket.item.as_str(), "i2");
}

/// Publishes a ticket as a client does that is no host.
async fn forge(backend: &NatsBackend, item: &str, payload: Bytes) {
    let jetstream = async_nats::jetstream::new(client().await);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Sender", "mallory");
    let subject = format!("jetway.{}.work.pay.charge.a.{item}.00000000", backend.namespace());
    jetstream.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
}

/// A dead letter and its headers.
async fn dead_letter(backend: &NatsBackend, sequence: u64) -> (StreamMessage, impl Fn(&str) -> String) {
    let jetstream = async_nats::jetstream::new(client().await);
    let dead = jetstream.get_stream(format!("JETWAY_{}_DEAD", backend.namespace())).await.unwrap();
    let letter = dead.get_raw_message(sequence).await.unwrap();
    let headers = letter.headers.clone();
    (letter, move |name| headers.get(name).map(ToString::to_string).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_ticket_becomes_a_dead_letter() {
    let backend = backend("undecodable").await;
    let mut tickets = open(&backend, 4).await;
    forge(&backend, "i1", "rubbish".into()).await;
    // A valid ticket on the subject of another item.
    let sealed = jetway_state::codec::seal(&ticket(&run("a"), "i3"), FINGERPRINT, "a ticket").unwrap();
    forge(&backend, "i2", sealed).await;
    publish(&backend, [ticket(&run("a"), "i4")]).await;
    assert_eq!(next(&mut tickets).await.ticket.item.as_str(), "i4");
    let (first, header) = dead_letter(&backend, 1).await;
    let subject = format!("jetway.{}.dead.pay.undecodable-ticket", backend.namespace());
    assert_eq!((first.subject.as_str(), first.payload.as_ref()), (subject.as_str(), b"rubbish".as_slice()));
    assert_eq!(header("X-Sender"), "mallory");
    assert_eq!(header("Jetway-Why"), "undecodable-ticket");
    assert!(header("Jetway-Reason").contains("not in Jetway's format"), "{}", header("Jetway-Reason"));
    assert!(header("Jetway-Original-Subject").ends_with(".work.pay.charge.a.i1.00000000"));
    let (_, header) = dead_letter(&backend, 2).await;
    assert!(header("Jetway-Reason").contains("item i3 of run pay/a"), "{}", header("Jetway-Reason"));
    let live = async || backend.items_with_tickets(&run("a"), None).await.unwrap().len() == 1;
    wait_until("they are removed from the queue", DEADLINE, live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_a_sender_cannot_forge_headers_of_a_dead_letter() {
    let backend = backend("forged").await;
    let mut tickets = open(&backend, 1).await;
    let jetstream = async_nats::jetstream::new(client().await);
    let mut headers = async_nats::HeaderMap::new();
    for name in ["Jetway-Original-Size", "jetway-why", "Jetway-Node", "Jetway-Incarnation", "Jetway-Build"] {
        headers.insert(name, "forged");
    }
    headers.insert("Jetway-Run-Id", "r");
    let subject = format!("jetway.{}.work.pay.charge.a.i1.00000000", backend.namespace());
    let stored = jetstream.publish_with_headers(subject, headers, "rubbish".into()).await.unwrap();
    stored.await.unwrap();
    publish(&backend, [ticket(&run("a"), "i2")]).await;
    next(&mut tickets).await;
    let (letter, header) = dead_letter(&backend, 1).await;
    assert_eq!(header("Jetway-Why"), "undecodable-ticket");
    assert_eq!(
        (header("Jetway-Run-Id").as_str(), header("Jetway-Original-jetway-why").as_str()),
        ("r", "forged")
    );
    let mut forged: Vec<_> = letter.headers.iter().map(|(name, _)| name.to_string()).collect();
    forged.retain(|name| header(name) == "forged");
    assert_eq!(forged.len(), 5);
    assert!(
        forged.iter().all(|name| name.to_lowercase().starts_with("jetway-original-jetway-")),
        "{forged:?}"
    );
}
