//! Alarms and what goes wrong: lost streams, killed servers, messages that cannot be decoded.

use super::{HOUR, SOON, alarm, alarm_at, messages, next, nothing_more, open, rings_once, stream_of};
use crate::support::{DEADLINE, FINGERPRINT, backend, client, config_for, connect, run, ticket, workflow};
use async_nats::jetstream;
use futures::StreamExt as _;
use jetway_engine::backend::{Alarms as _, Hosts as _, TicketQueue as _};
use jetway_state::{Timestamp, codec::seal};
use jetway_testing::{NatsServer, wait_until};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn alarms_survive_a_crash_of_the_server() {
    let mut server = NatsServer::start().await.unwrap();
    let backend = connect(config_for(&server, "crash")).await;
    let (mut losses, mut tickets) = (backend.ticket_loss_events(), open(&backend).await);
    let runs: BTreeSet<String> = (0..40).map(|number| format!("r{number:02}")).collect();
    // Some are due while the server is down, and some later.
    let now = backend.clock().now();
    let arm = async |runs: &BTreeSet<String>| {
        for (number, id) in runs.iter().enumerate() {
            let due = now.after(Duration::from_millis(1500 + 50 * number as u64));
            backend.arm(alarm_at(due, &run(id), "i1")).await.unwrap();
        }
    };
    arm(&runs).await;
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let since = timeout(DEADLINE, losses.next()).await.unwrap().unwrap();
    assert!(since >= now, "{since} {now}");
    let kept = backend.stream_counts().await.unwrap().alarms;
    println!("{kept} alarms were kept, or had not rung yet");
    // The server need not have written the latest ones. Whoever hears of a loss arms all again.
    arm(&runs).await;
    let mut rung = BTreeSet::new();
    while rung.len() < runs.len() {
        let delivery = next(&mut tickets).await;
        assert!(delivery.ticket.at >= now);
        rung.insert(delivery.ticket.run_id.to_string());
        delivery.lease.ack().await.unwrap();
    }
    assert_eq!(rung, runs);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_loss_of_the_stream_of_alarms_is_reported() {
    let backend = backend("notimers").await;
    let (mut losses, mut tickets) = (backend.ticket_loss_events(), open(&backend).await);
    backend.arm(alarm(&backend, HOUR, &run("a"), "i1")).await.unwrap();
    let jetstream = jetstream::new(client().await);
    let name = format!("JETWAY_{}_TIMERS", backend.namespace());
    jetstream.delete_stream(&name).await.unwrap();
    wait_until("the stream is made again", DEADLINE, async || jetstream.get_stream(&name).await.is_ok())
        .await;
    timeout(DEADLINE, losses.next()).await.unwrap().unwrap();
    let told = backend.streams_made_again().await.unwrap();
    assert!(told.len() == 1 && told[0].contains("the sweep arms the alarms again"), "{told:?}");
    // The consumer is made again as well.
    let armed = alarm(&backend, SOON, &run("b"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    rings_once(&mut tickets, &armed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_wake_up_is_a_dead_letter() {
    let backend = backend("badwake").await;
    let mut tickets = open(&backend).await;
    let (ns, client) = (backend.namespace(), client().await);
    let of_another = alarm(&backend, HOUR, &run("another"), "i1");
    backend.arm(of_another.clone()).await.unwrap();
    let (minute, millisecond) = (of_another.due.0 / 60_000, of_another.due.0 % 60_000);
    let stream = stream_of(ns, "TIMERS").await;
    let subject = format!("jetway.{ns}.timer.{minute}.pay.another.00000000.{millisecond}");
    let forged = stream.get_last_raw_message_by_subject(&subject).await.unwrap().payload;
    for (id, payload) in [("a", "no ticket".into()), ("b", forged)] {
        client.publish(format!("jetway.{ns}.wake.pay.{id}.00000000.1"), payload).await.unwrap();
    }
    let armed = alarm(&backend, SOON, &run("good"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    rings_once(&mut tickets, &armed).await;
    let letters = backend.stream_counts().await.unwrap().dead_letters;
    assert_eq!(letters.into_iter().collect::<Vec<_>>(), [("pay.undecodable-ticket".to_owned(), 2)]);
    wait_until("they are acknowledged", DEADLINE, async || messages(&backend).await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_newer_wake_up_is_given_back() {
    let backend = backend("newerwake").await;
    let mut tickets = open(&backend).await;
    let mut newer = seal(&ticket(&run("newer"), "i1"), FINGERPRINT, "a ticket").unwrap().to_vec();
    newer[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
    let subject = format!("jetway.{}.wake.pay.newer.00000000.1", backend.namespace());
    let client = client().await;
    client.publish(subject, newer.into()).await.unwrap();
    client.flush().await.unwrap();
    let armed = alarm(&backend, SOON, &run("a"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    rings_once(&mut tickets, &armed).await;
    let report = backend.queues().await.unwrap();
    assert_eq!(report.newer_tickets.get("pay"), Some(&1), "{report:?}");
    assert_eq!((report.wakes.get("pay"), report.dead_letters.len()), (Some(&1), 0), "{report:?}");
}

/// The server cannot store what an alarm publishes, so the alarm stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_alarm_is_found() {
    let backend = backend("overdue").await;
    let mut tickets = open(&backend).await;
    let (now, later) = (backend.clock().now(), alarm(&backend, HOUR, &run("later"), "i1"));
    let overdue = alarm(&backend, SOON, &run("a"), "i1");
    backend.arm(overdue.clone()).await.unwrap();
    backend.arm(later).await.unwrap();
    let limit = async |max_message_size| {
        let stream = stream_of(backend.namespace(), "TIMERS").await;
        let config = stream.cached_info().config.clone();
        let config = jetstream::stream::Config { max_message_size, ..config };
        jetstream::new(client().await).update_stream(config).await.unwrap();
    };
    limit(16).await;
    let ring = async |since: Timestamp| {
        backend.ring_overdue(&workflow(), since, backend.clock().now().after(HOUR)).await.unwrap()
    };
    wait_until("the alarm is overdue", DEADLINE, async || {
        let rung = ring(now).await;
        assert!(rung == 0 || backend.clock().now().since(overdue.due) >= Duration::from_secs(5), "too soon");
        rung == 1
    })
    .await;
    limit(-1).await;
    rings_once(&mut tickets, &overdue).await;
    // One request finds those of a long time, and there is none.
    assert_eq!((ring(now).await, ring(Timestamp(0)).await), (0, 0));
    assert_eq!(backend.stream_counts().await.unwrap().alarms, 1, "the later one is left alone");
    nothing_more(&mut tickets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_consumer_of_wake_ups_is_reported() {
    let backend = backend("pausedwakes").await;
    drop(open(&backend).await);
    let stream = format!("JETWAY_{}_TIMERS", backend.namespace());
    let until = format!("{{\"pause_until\":\"{}\"}}", backend.clock().now().after(HOUR));
    let pause = format!("$JS.API.CONSUMER.PAUSE.{stream}.wake_pay");
    client().await.request(pause, until.into()).await.unwrap();
    let report = backend.queues().await.unwrap();
    let paused: Vec<_> = report.paused.iter().map(|it| (it.consumer.as_str(), it.delivers)).collect();
    assert_eq!(paused, [("wake_pay", "wake-ups")]);
}
