//! Signals and what goes wrong: messages that are none, full streams, streams that are made anew, unknown workflows.

use super::{messages, next, nothing_more, open, publish, signal, stream_of};
use crate::{
    fatal_headers::publish_raw,
    support::{DEADLINE, backend, client, config, connect, heard, run},
};
use async_nats::{HeaderMap, jetstream};
use jetway_engine::backend::{
    Alarms as _, BackendErrorKind, DeadLetter, Hosts as _, NewSignal, Signals as _, Starts as _,
};
use jetway_nats::{NatsConfig, WriteConfig};
use jetway_testing::wait_until;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn w43_what_is_no_signal_becomes_a_dead_letter() {
    let backend = backend("nosignal").await;
    let mut signals = open(&backend).await;
    let bad = [
        ("pay.a.bad$name", &[][..], "signal name"),
        ("pay.a$b.paid", &[], "run id"),
        ("pay.a.paid.x.y", &[], "the subject of a signal is"),
        ("pay.a.paid", &[("jetway-incarnation", "first")], "the header Jetway-Incarnation"),
    ];
    for (rest, headers, _) in bad {
        publish(&backend, rest, headers, "[17]").await;
    }
    publish(&backend, "pay.a.paid", &[], "good").await;
    // They stop nothing.
    assert_eq!(next(&mut signals).await.signal.payload, "good");
    let dead = stream_of(&backend, "DEAD").await;
    for (number, (rest, _, reason)) in bad.iter().enumerate() {
        let letter = dead.get_raw_message(number as u64 + 1).await.unwrap();
        assert_eq!(letter.subject.as_str(), format!("jetway.{}.dead.pay.bad-signal", backend.namespace()));
        let header = |name: &str| letter.headers.get(name).unwrap().to_string();
        assert!(header("Jetway-Reason").contains(reason), "{rest}: {}", header("Jetway-Reason"));
        assert!(header("Jetway-Original-Subject").ends_with(rest), "{rest}");
        assert_eq!(letter.payload, "[17]");
    }
    nothing_more(&mut signals).await;
}

/// The dead letter of a signal that was read with others is that of its message.
#[tokio::test(flavor = "multi_thread")]
async fn w43_the_dead_letter_of_a_signal_is_that_of_its_message() {
    let backend = backend("letter").await;
    let mut signals = open(&backend).await;
    let incarnation = Some(jetway_state::Incarnation::from_random(7));
    let sent = NewSignal { id: Some("a".to_owned()), incarnation, ..signal(&run("a"), "paid", "17") };
    backend.publish_signal(&sent).await.unwrap();
    let delivery = next(&mut signals).await;
    let letter = backend.letter_of(&sent);
    assert_eq!(letter, DeadLetter { id: String::new(), ..delivery.original });
    // A reader of the dead letter would take it for that of the run.
    assert!(letter.headers.iter().all(|(name, _)| name.starts_with("Jetway-Original-")), "{letter:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a_fatal_header_of_a_signal_is_a_dead_letter() {
    let config = config("fatalsignal").await;
    let url = config.servers.addresses()[0].to_string();
    let backend = connect(config).await;
    let mut signals = open(&backend).await;
    publish(&backend, "pay.a.paid", &[], "1").await;
    next(&mut signals).await.lease.ack().await.unwrap();
    publish_raw(&url, &format!("jetway.{}.signal.pay.a.paid", backend.namespace()), "_INBOX.nobody").await;
    publish(&backend, "pay.a.paid", &[], "2").await;
    // Whoever reads the signals of the run does not stop at it.
    let stored = backend.stored_signals(&run("a"), 0, 10).await.unwrap();
    assert_eq!(stored.iter().map(|signal| signal.payload.as_ref()).collect::<Vec<_>>(), [b"2"]);
    wait_until("the next one is delivered, over another connection", DEADLINE, async || {
        let mut signals = open(&backend).await;
        let next = tokio::time::timeout(Duration::from_secs(2), futures::StreamExt::next(&mut signals)).await;
        matches!(next, Ok(Some(Ok(delivery))) if delivery.signal.payload == "2")
    })
    .await;
    wait_until("the first one is a dead letter", DEADLINE, async || {
        let letters = backend.stream_counts().await.unwrap().dead_letters;
        letters.get("pay.unreadable-headers") == Some(&1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_clients_that_the_server_acts_on_are_refused() {
    let backend = backend("headers").await;
    let jetstream = jetstream::new(client().await);
    let subject = format!("jetway.{}.signal.pay.a.paid", backend.namespace());
    for (name, value) in [("Nats-Rollup", "all"), ("Nats-TTL", "1s"), ("Nats-Schedule", "@every 1s")] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        let refused =
            jetstream.publish_with_headers(subject.clone(), headers, "1".into()).await.unwrap().await;
        assert!(refused.is_err(), "{name} was taken: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_signals_and_keeps_those_that_it_has() {
    let writes = WriteConfig { give_up_after: Duration::from_millis(500), ..WriteConfig::default() };
    let config = NatsConfig { max_stream_bytes: Some(64 * 1024), writes, ..config("full").await };
    let backend = connect(config).await;
    let payload = "x".repeat(8 * 1024);
    let mut kept = 0;
    let refused = loop {
        match backend.publish_signal(&signal(&run("a"), "paid", &payload)).await {
            Ok(_stored) => kept += 1,
            Err(refused) => break refused,
        }
        assert!(kept < 20, "the stream takes everything");
    };
    assert_eq!(refused.kind(), BackendErrorKind::NoRoom, "{refused}");
    assert!(kept > 3 && messages(&backend).await == kept);
    // One that is put off needs room as well, and is not lost without it.
    let mut signals = open(&backend).await;
    let delivery = next(&mut signals).await;
    let due = backend.clock().now().after(Duration::from_secs(3600));
    let refused = backend.put_off(&delivery.signal, due).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::NoRoom, "{refused}");
    delivery.lease.ack().await.unwrap();
    wait_until("it is removed", DEADLINE, async || messages(&backend).await == kept - 1).await;
    backend.put_off(&delivery.signal, due).await.unwrap();
}

/// One that has waited needs room for a moment when it comes back. It does not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn h10_a_signal_that_finds_no_room_becomes_a_dead_letter() {
    let writes = WriteConfig { give_up_after: Duration::from_millis(500), ..WriteConfig::default() };
    let config = NatsConfig { max_stream_bytes: Some(64 * 1024), writes, ..config("noroom").await };
    let backend = connect(config).await;
    let mut signals = open(&backend).await;
    backend.publish_signal(&signal(&run("a"), "paid", &"y".repeat(8 * 1024))).await.unwrap();
    let delivery = next(&mut signals).await;
    let now = backend.clock().now();
    backend.put_off(&delivery.signal, now.before(Duration::from_secs(120))).await.unwrap();
    delivery.lease.ack().await.unwrap();
    drop(signals);
    while backend.publish_signal(&signal(&run("b"), "paid", &"x".repeat(4 * 1024))).await.is_ok() {}
    let moved = wait_until("it is a dead letter", DEADLINE, async || {
        let moved = backend.ring_overdue(&super::workflow(), now, backend.clock().now()).await.unwrap();
        (moved > 0).then_some(moved)
    });
    assert_eq!(moved.await, 1);
    let counts = backend.stream_counts().await.unwrap();
    assert_eq!(counts.dead_letters.get("pay.no-room"), Some(&1), "{counts:?}");
}

/// The sequences of a stream that is made again start again, so its signals are those of another store.
#[tokio::test(flavor = "multi_thread")]
async fn f12_a_stream_of_signals_that_is_made_again_is_another_store() {
    let backend = backend("again").await;
    let mut signals = open(&backend).await;
    for _ in 0..3 {
        publish(&backend, "pay.a.paid", &[], "1").await;
    }
    let mut before = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut signals).await;
        delivery.lease.ack().await.unwrap();
        before.push(delivery.signal);
    }
    let jetstream = jetstream::new(client().await);
    let name = format!("JETWAY_{}_SIGNAL", backend.namespace());
    jetstream.delete_stream(&name).await.unwrap();
    wait_until("the stream is made again", DEADLINE, async || jetstream.get_stream(&name).await.is_ok())
        .await;
    publish(&backend, "pay.a.paid", &[], "2").await;
    let delivery = next(&mut signals).await;
    assert_eq!((delivery.signal.sequence, delivery.signal.payload.as_ref()), (1, b"2".as_slice()));
    assert_ne!(delivery.signal.store, before[0].store);
    assert_eq!(backend.stored_signals(&run("a"), 0, 10).await.unwrap(), [delivery.signal]);
    let told = backend.streams_made_again().await.unwrap();
    assert!(told.len() == 1 && told[0].contains("signals that waited are lost"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_unknown_workflows_become_dead_letters() {
    let backend = backend("unknown").await;
    drop(open(&backend).await);
    heard(&client().await).await;
    for rest in ["nobody.a.paid", "nobody.b.x.y.z", "pay.a.paid"] {
        publish(&backend, rest, &[("Nats-Msg-Id", rest)], "1").await;
    }
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::from_secs(600)).await.unwrap(), 0);
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap(), 2);
    let counts = backend.stream_counts().await.unwrap();
    assert_eq!(
        (counts.signals, counts.dead_letters.get("nobody.unknown-workflow")),
        (1, Some(&2)),
        "{counts:?}"
    );
}
