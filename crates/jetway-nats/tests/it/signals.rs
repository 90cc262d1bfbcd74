//! Signals: stored, delivered, read again, put off.

mod faults;
mod later;

use crate::support::{DEADLINE, backend, client, run, workflow};
use async_nats::{HeaderMap, jetstream};
use futures::{StreamExt as _, stream::BoxStream};
use jetway_engine::backend::{
    BackendError, BackendErrorKind, Hosts as _, NewSignal, SignalDelivery, Signals as _, StoredSignal,
};
use jetway_nats::NatsBackend;
use jetway_state::{Incarnation, RunKey, run::GIVEN_SIGNAL_ID};
use jetway_testing::wait_until;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

type Deliveries = BoxStream<'static, Result<SignalDelivery, BackendError>>;

async fn open(backend: &NatsBackend) -> Deliveries {
    backend.signals(&workflow(), Arc::new(Semaphore::new(8))).await.unwrap()
}

async fn next(signals: &mut Deliveries) -> SignalDelivery {
    timeout(DEADLINE, signals.next()).await.expect("no signal is delivered").unwrap().unwrap()
}

async fn nothing_more(signals: &mut Deliveries) {
    let more = timeout(Duration::from_millis(600), signals.next()).await;
    assert!(more.is_err(), "{more:?}");
}

pub(crate) fn signal(run: &RunKey, name: &str, payload: &str) -> NewSignal {
    NewSignal {
        run: run.clone(),
        name: name.to_owned(),
        id: None,
        incarnation: None,
        content_type: None,
        payload: payload.to_owned().into(),
    }
}

async fn stream_of(backend: &NatsBackend, suffix: &str) -> jetstream::stream::Stream {
    let name = format!("JETWAY_{}_{suffix}", backend.namespace());
    jetstream::new(client().await).get_stream(name).await.unwrap()
}

/// How many signals the stream holds, and those that are put off.
async fn messages(backend: &NatsBackend) -> u64 {
    backend.stream_counts().await.unwrap().signals
}

/// Publishes a message as any client does, and waits until it is stored. Returns whether it was a double for the server.
async fn publish(backend: &NatsBackend, rest: &str, headers: &[(&str, &str)], payload: &str) -> bool {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    let (jetstream, subject) =
        (jetstream::new(client().await), format!("jetway.{}.signal.{rest}", backend.namespace()));
    let sent = jetstream.publish_with_headers(subject, map, payload.to_owned().into());
    sent.await.unwrap().await.unwrap().duplicate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_delivered_as_published() {
    let backend = backend("signal").await;
    let mut signals = open(&backend).await;
    let incarnation = Some(Incarnation::from_random(7));
    let full = NewSignal {
        id: Some("payment-7".to_owned()),
        incarnation,
        content_type: Some("application/cbor".to_owned()),
        ..signal(&run("order-1"), "paid", "[1]")
    };
    for published in [full.clone(), signal(&run("order-1"), "paid", "")] {
        let before = backend.clock().now();
        let stored = backend.publish_signal(&published).await.unwrap();
        let delivery = next(&mut signals).await;
        let sent_at = delivery.signal.sent_at;
        assert_eq!(delivery.signal, StoredSignal { sent_at, ..stored.clone() });
        assert!(sent_at.after(Duration::from_secs(1)) >= before, "{sent_at} is before {before}");
        assert_eq!(stored.name, "paid");
        assert_eq!((&stored.run, &stored.payload), (&published.run, &published.payload));
        assert_eq!(
            (stored.incarnation, &stored.content_type),
            (published.incarnation, &published.content_type)
        );
        assert!(stored.store.0 > 0 && stored.sequence > 0);
        assert_eq!(delivery.original.payload, published.payload);
        assert_eq!((delivery.delivered, delivery.original.workflow.as_str()), (1, "pay"));
        delivery.lease.ack().await.unwrap();
    }
    // Each signal has an id.
    let [one, other] = ["1", "2"].map(|payload| signal(&run("order-1"), "paid", payload));
    let [one, other] =
        [backend.publish_signal(&one).await.unwrap().id, backend.publish_signal(&other).await.unwrap().id];
    assert!(one.is_some() && one != other);
    assert!(one.unwrap().starts_with(GIVEN_SIGNAL_ID), "it takes no place of an id that a sender has chosen");
    for _ in 0..2 {
        next(&mut signals).await.lease.ack().await.unwrap();
    }
    wait_until("the signals are removed", DEADLINE, async || messages(&backend).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_client_may_publish_a_signal() {
    let backend = backend("plain").await;
    let mut signals = open(&backend).await;
    publish(&backend, "pay.order-1.paid", &[], "17").await;
    let delivery = next(&mut signals).await;
    let first = delivery.signal;
    assert_eq!(
        (first.run.clone(), first.name.as_str(), first.content_type.clone()),
        (run("order-1"), "paid", None)
    );
    assert_eq!(first.payload, "17");
    // The same message is the same signal when it is delivered again.
    delivery.lease.nak().await.unwrap();
    let again = next(&mut signals).await;
    assert_eq!((again.delivered, &again.signal), (2, &first));
    assert_eq!(backend.stored_signals(&run("order-1"), 0, 10).await.unwrap(), [first]);
    again.lease.ack().await.unwrap();
    let incarnation = Incarnation::from_random(7);
    let headers = [("nats-msg-id", "a"), ("JETWAY-INCARNATION", &incarnation.to_string())];
    publish(&backend, "pay.order-1.paid", &headers, "18").await;
    let read = next(&mut signals).await.signal;
    assert_eq!((read.id.as_deref(), read.incarnation), (Some("a"), Some(incarnation)));
}

#[tokio::test(flavor = "multi_thread")]
async fn w42_one_id_is_a_signal_of_each_run() {
    let backend = backend("ids").await;
    for id in ["a", "b"] {
        let with_id = NewSignal { id: Some("payment-7".to_owned()), ..signal(&run(id), "paid", "1") };
        backend.publish_signal(&with_id).await.unwrap();
    }
    // The window of the server is short, since it knows no runs.
    let sent = async |id: &str| {
        let rest = format!("pay.{id}.paid");
        wait_until("the window of duplicates is over", DEADLINE, async || {
            !publish(&backend, &rest, &[("Nats-Msg-Id", "payment-8")], "1").await
        })
        .await;
    };
    sent("a").await;
    sent("b").await;
    for id in ["a", "b"] {
        let stored = backend.stored_signals(&run(id), 0, 10).await.unwrap();
        let ids: Vec<_> = stored.iter().filter_map(|signal| signal.id.as_deref()).collect();
        assert_eq!(ids, ["payment-7", "payment-8"], "{id}");
    }
    let window = stream_of(&backend, "SIGNAL").await.cached_info().config.duplicate_window;
    assert_eq!(window, Duration::from_millis(100));
}

/// Whoever gets one of the signals of a run applies all of them.
#[tokio::test(flavor = "multi_thread")]
async fn w39_the_signals_of_a_run_are_read_in_their_order() {
    const MANY: usize = 600;
    let backend = backend("many").await;
    let (mut sequences, run_a) = (Vec::new(), run("a"));
    for number in 0..MANY {
        let stored = backend.publish_signal(&signal(&run_a, "paid", &number.to_string())).await.unwrap();
        sequences.push(stored.sequence);
        if number % 3 == 0 {
            backend.publish_signal(&signal(&run("a-b"), "paid", "another run")).await.unwrap();
        }
    }
    // A name that no signal has is left out, and stops nothing.
    publish(&backend, "pay.a.bad$name", &[], "1").await;
    let last = backend.publish_signal(&signal(&run_a, "other", "the last one")).await.unwrap();
    sequences.push(last.sequence);
    let read = async |after, most| {
        let stored = backend.stored_signals(&run_a, after, most).await.unwrap();
        stored.into_iter().map(|signal| signal.sequence).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 1000).await, sequences);
    assert_eq!(read(0, 7).await, sequences[..7]);
    assert_eq!(read(sequences[6], 5).await, sequences[7..12]);
    assert_eq!(read(last.sequence, 5).await, [0; 0]);
    assert_eq!(read(0, 0).await, [0; 0]);
    assert_eq!(backend.stored_signals(&run("none"), 0, 5).await.unwrap(), []);
    // An acked signal is gone.
    let mut signals = open(&backend).await;
    let delivery = next(&mut signals).await;
    assert_eq!(delivery.signal.sequence, sequences[0]);
    delivery.lease.ack().await.unwrap();
    wait_until("it is removed", DEADLINE, async || read(0, 1000).await == sequences[1..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w38_no_signal_of_many_senders_is_lost() {
    let backend = Arc::new(backend("senders").await);
    let mut signals = open(&backend).await;
    let senders = (0..40).map(|sender| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            for number in 0..5 {
                let payload = format!("{sender}-{number}");
                backend.publish_signal(&signal(&run(&format!("r{sender}")), "paid", &payload)).await.unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut received = BTreeSet::new();
    while received.len() < 200 {
        let delivery = next(&mut signals).await;
        delivery.lease.ack().await.unwrap();
        let payload = String::from_utf8(delivery.signal.payload.to_vec()).unwrap();
        assert!(received.insert(payload.clone()), "{payload} came twice");
    }
    for sender in senders {
        sender.await.unwrap();
    }
    nothing_more(&mut signals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_name_is_refused() {
    let backend = backend("bad").await;
    for name in ["", "a.b", "*", "a b", &"x".repeat(65)] {
        let refused = backend.publish_signal(&signal(&run("a"), name, "1")).await.unwrap_err();
        assert_eq!(refused.kind(), BackendErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains("signal name"), "{refused}");
    }
    assert_eq!(messages(&backend).await, 0);
}
