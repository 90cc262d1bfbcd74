//! Signals that are put off.

use super::{messages, next, nothing_more, open, signal, stream_of};
use crate::support::{DEADLINE, backend, run, workflow};
use async_nats::jetstream;
use futures::StreamExt as _;
use jetway_engine::backend::{
    Alarms as _, Hosts as _, NewSignal, SignalDelivery, Signals as _, StoredSignal, TicketQueue as _,
};
use jetway_nats::NatsBackend;
use jetway_state::{Incarnation, Timestamp, run::SignalPlace};
use jetway_testing::wait_until;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinHandle};

const SOON: Duration = Duration::from_millis(800);
const HOUR: Duration = Duration::from_secs(3600);

/// What a host does: it forwards wake-ups while it takes tickets.
pub(super) async fn forwarding(backend: &Arc<NatsBackend>) -> JoinHandle<()> {
    let mut tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(8))).await.unwrap();
    tokio::spawn(async move {
        // There is none, so it waits for as long as the test.
        if let Some(next) = tickets.next().await {
            panic!("nobody has published a ticket: {next:?}");
        }
    })
}

fn full(id: &str) -> NewSignal {
    NewSignal {
        id: Some(id.to_owned()),
        incarnation: Some(Incarnation::from_random(7)),
        content_type: Some("application/json".to_owned()),
        ..signal(&run("a"), "paid", "17")
    }
}

async fn put_off(backend: &NatsBackend, delivery: &SignalDelivery, within: Duration) -> Timestamp {
    let due = backend.clock().now().after(within);
    backend.put_off(&delivery.signal, due).await.unwrap();
    delivery.lease.ack().await.unwrap();
    due
}

#[tokio::test(flavor = "multi_thread")]
async fn w44_a_signal_that_is_put_off_comes_again_when_it_is_due() {
    let backend = Arc::new(backend("later").await);
    let forwarder = forwarding(&backend).await;
    let mut signals = open(&backend).await;
    backend.publish_signal(&full("payment-7")).await.unwrap();
    let mut delivery = next(&mut signals).await;
    let first = delivery.signal.clone();
    // As often as its run does not exist.
    for _ in 0..3 {
        let due = put_off(&backend, &delivery, SOON).await;
        drop(delivery);
        delivery = next(&mut signals).await;
        let now = backend.clock().now();
        assert!(now >= due, "it came at {now}, which is before {due}");
        let StoredSignal { sequence, .. } = delivery.signal;
        let place = SignalPlace::Again;
        assert_eq!(delivery.signal, StoredSignal { sequence, place, ..first.clone() });
        assert!(sequence > first.sequence && delivery.delivered == 1);
    }
    delivery.lease.ack().await.unwrap();
    nothing_more(&mut signals).await;
    wait_until("nothing is left", DEADLINE, async || {
        let counts = backend.stream_counts().await.unwrap();
        counts.signals + counts.alarms + counts.wakes == 0
    })
    .await;
    forwarder.abort();
}

/// Waiting is free: it takes no place among the messages that are delivered and not acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn w44_a_signal_that_is_put_off_is_not_delivered() {
    let backend = backend("waits").await;
    let mut signals = open(&backend).await;
    for number in 0..20 {
        backend.publish_signal(&full(&format!("payment-{number}"))).await.unwrap();
    }
    for _ in 0..20 {
        let delivery = next(&mut signals).await;
        put_off(&backend, &delivery, HOUR).await;
    }
    let stream = stream_of(&backend, "SIGNAL").await;
    wait_until("nothing is leased", DEADLINE, async || {
        stream.consumer_info("signal_pay").await.unwrap().num_ack_pending == 0
    })
    .await;
    wait_until("each waits once", DEADLINE, async || messages(&backend).await == 20).await;
    let report = backend.queues().await.unwrap();
    let counted = |counts: &std::collections::BTreeMap<String, u64>| counts.get("pay").copied();
    assert_eq!((counted(&report.signals_put_off), counted(&report.signals)), (Some(20), None));
    assert_eq!(report.alarms.len(), 0, "the alarms of signals are no alarms of runs");
    // Those that wait are not read with those that are to be applied.
    assert_eq!(backend.stored_signals(&run("a"), 0, 100).await.unwrap(), []);
    nothing_more(&mut signals).await;
}

/// A host that dies in between puts a signal off a second time, or it is applied meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn w42_a_signal_that_exists_twice_has_one_id() {
    let backend = Arc::new(backend("twice").await);
    let forwarder = forwarding(&backend).await;
    let mut signals = open(&backend).await;
    for headers in [&[][..], &[("Nats-Msg-Id", "x")]] {
        super::publish(&backend, "pay.a.paid", headers, "1").await;
        let delivery = next(&mut signals).await;
        let due = backend.clock().now().after(SOON);
        // A host gives an id to a signal that has none.
        let id = delivery.signal.id.clone().unwrap_or_else(|| "its place".to_owned());
        let put_off = StoredSignal { id: Some(id.clone()), ..delivery.signal.clone() };
        backend.put_off(&put_off, due).await.unwrap();
        // The host dies here.
        delivery.lease.nak().await.unwrap();
        let (first, again) = (delivery.signal, next(&mut signals).await);
        assert_eq!(again.signal, first);
        again.lease.ack().await.unwrap();
        let copy = next(&mut signals).await;
        copy.lease.ack().await.unwrap();
        assert_eq!((copy.signal.id.as_ref(), copy.signal.sent_at), (Some(&id), first.sent_at));
        assert!(copy.signal.sequence > first.sequence);
    }
    nothing_more(&mut signals).await;
    forwarder.abort();
}

/// The server forgets an alarm, or the stream of alarms is lost.
#[tokio::test(flavor = "multi_thread")]
async fn w26_a_signal_whose_alarm_is_lost_is_brought_back() {
    let backend = backend("noalarm").await;
    let mut signals = open(&backend).await;
    backend.publish_signal(&full("payment-7")).await.unwrap();
    let delivery = next(&mut signals).await;
    let due = put_off(&backend, &delivery, SOON).await;
    backend.publish_signal(&full("payment-8")).await.unwrap();
    let waits = next(&mut signals).await;
    put_off(&backend, &waits, HOUR).await;
    stream_of(&backend, "TIMERS").await.purge().await.unwrap();
    let brought = wait_until("it is overdue", DEADLINE, async || {
        let until = backend.clock().now();
        let brought = backend.ring_overdue(&workflow(), due, until).await.unwrap();
        (brought > 0).then_some(brought)
    });
    assert_eq!(brought.await, 1);
    let again = next(&mut signals).await;
    assert_eq!(
        (again.signal.id.as_deref(), again.signal.sent_at),
        (Some("payment-7"), delivery.signal.sent_at)
    );
    again.lease.ack().await.unwrap();
    nothing_more(&mut signals).await;
    wait_until("the other one waits", DEADLINE, async || messages(&backend).await == 1).await;
}

/// Only hosts put signals off. Whatever somebody else has written there does not stay for ever.
#[tokio::test(flavor = "multi_thread")]
async fn p7_what_no_host_has_put_off_does_not_stay() {
    let backend = backend("forged").await;
    let mut signals = open(&backend).await;
    let jetstream = jetstream::new(super::client().await);
    for rest in ["pay.a.paid.5.10000000000000000000", "pay.a.paid.5.05"] {
        let subject = format!("jetway.{}.later.{rest}", backend.namespace());
        jetstream.publish(subject, "1".into()).await.unwrap().await.unwrap();
    }
    let now = backend.clock().now();
    assert_eq!(backend.ring_overdue(&workflow(), now, now).await.unwrap(), 2);
    let again = next(&mut signals).await;
    assert_eq!((again.signal.sent_at, again.signal.place), (Timestamp(5), SignalPlace::Again));
    again.lease.ack().await.unwrap();
    nothing_more(&mut signals).await;
    wait_until("nothing is left", DEADLINE, async || messages(&backend).await == 0).await;
    let counts = backend.stream_counts().await.unwrap();
    assert_eq!(counts.dead_letters.get("pay.bad-signal"), Some(&1), "{counts:?}");
}

/// An alarm has the sequence of a message. In a stream that was made anew, that may be another message.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_brings_back_nothing_else() {
    let backend = Arc::new(backend("other").await);
    let stored = backend.publish_signal(&signal(&run("a"), "paid", "1")).await.unwrap();
    let client = super::client().await;
    for sequence in [stored.sequence, 999] {
        let subject = format!("jetway.{}.wake.pay.signal.{sequence}", backend.namespace());
        client.publish(subject, "".into()).await.unwrap();
    }
    wait_until("the wake-ups are stored", DEADLINE, async || {
        backend.stream_counts().await.unwrap().wakes == 2
    })
    .await;
    let forwarder = forwarding(&backend).await;
    wait_until("the wake-ups are acknowledged", DEADLINE, async || {
        backend.stream_counts().await.unwrap().wakes == 0
    })
    .await;
    let counts = backend.stream_counts().await.unwrap();
    assert_eq!((counts.signals, counts.dead_letters.len()), (1, 0), "{counts:?}");
    let found = backend.stored_signals(&run("a"), 0, 10).await.unwrap();
    assert_eq!(found.iter().map(|signal| signal.sequence).collect::<Vec<_>>(), [stored.sequence]);
    forwarder.abort();
}
