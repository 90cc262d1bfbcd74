//! Alarms: armed once, rung at their time, delivered as tickets.

mod faults;
mod many;

use crate::support::{DEADLINE, FINGERPRINT, backend, client, connect, run, ticket, workflow};
use async_nats::jetstream;
use futures::{StreamExt as _, stream::BoxStream};
use jetway_engine::backend::{
    Alarm, Alarms as _, BackendError, BackendErrorKind, Delivery, Hosts as _, Ticket, TicketQueue as _,
};
use jetway_nats::NatsBackend;
use jetway_state::{Incarnation, RunKey, Seen, StoreId, Timestamp, WorkflowName};
use jetway_testing::wait_until;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

type Tickets = BoxStream<'static, Result<Delivery, BackendError>>;

/// Long enough to arm some alarms before the first of them rings.
const SOON: Duration = Duration::from_millis(600);
const HOUR: Duration = Duration::from_secs(3600);

fn alarm_at(due: Timestamp, run: &RunKey, item: &str) -> Alarm {
    let woken_by = Some(Seen::new(5, StoreId::default()));
    Alarm { due, ticket: Ticket { woken_by, ..ticket(run, item) }, build: FINGERPRINT }
}

fn alarm(backend: &NatsBackend, within: Duration, run: &RunKey, item: &str) -> Alarm {
    alarm_at(backend.clock().now().after(within), run, item)
}

async fn open_of(backend: &NatsBackend, workflow: &WorkflowName) -> Tickets {
    backend.tickets(workflow, Arc::new(Semaphore::new(64))).await.unwrap()
}

async fn open(backend: &NatsBackend) -> Tickets {
    open_of(backend, &workflow()).await
}

async fn next(tickets: &mut Tickets) -> Delivery {
    timeout(DEADLINE, tickets.next()).await.expect("no ticket is delivered").unwrap().unwrap()
}

async fn nothing_more(tickets: &mut Tickets) {
    let more = timeout(Duration::from_millis(600), tickets.next()).await;
    assert!(more.is_err(), "{more:?}");
}

/// The next ticket is that of an alarm, and nothing follows.
async fn rings_once(tickets: &mut Tickets, alarm: &Alarm) -> Delivery {
    let delivery = next(tickets).await;
    assert_eq!(delivery.ticket, Ticket { at: delivery.ticket.at, ..alarm.ticket.clone() });
    assert_eq!((delivery.fingerprint, delivery.delivered), (FINGERPRINT, 1));
    delivery.lease.ack().await.unwrap();
    nothing_more(tickets).await;
    delivery
}

async fn stream_of(namespace: &impl std::fmt::Display, suffix: &str) -> jetstream::stream::Stream {
    let name = format!("JETWAY_{namespace}_{suffix}");
    jetstream::new(client().await).get_stream(name).await.unwrap()
}

/// How many messages the stream of alarms holds: alarms, and wake-ups that are not acknowledged.
async fn messages(backend: &NatsBackend) -> u64 {
    stream_of(backend.namespace(), "TIMERS").await.get_info().await.unwrap().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_rings_once_as_a_ticket() {
    let backend = backend("alarm").await;
    let mut tickets = open(&backend).await;
    let armed = alarm(&backend, Duration::from_millis(300), &run("a"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    let delivery = rings_once(&mut tickets, &armed).await;
    assert!(delivery.ticket.at >= armed.due, "early: {} for {}", delivery.ticket.at, armed.due);
    let late = delivery.ticket.at.since(armed.due);
    println!("late by {late:?}");
    assert!(late < Duration::from_secs(5), "late by {late:?}");
    assert_eq!(messages(&backend).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alarm_rings_early() {
    let backend = backend("early").await;
    let start = backend.clock().now().after(SOON);
    for number in 0..40 {
        let due = start.after(Duration::from_millis(number * 7));
        backend.arm(alarm_at(due, &run(&format!("r{number}")), "i1")).await.unwrap();
    }
    // Nobody forwards the wake-ups, so they can be read.
    let stream = stream_of(backend.namespace(), "TIMERS").await;
    for number in 0..40 {
        let due = start.after(Duration::from_millis(number * 7)).0;
        let subject = format!("jetway.{}.wake.pay.r{number}.00000000.{due}", backend.namespace());
        let rung = wait_until("the alarm rings", DEADLINE, async || {
            stream.get_last_raw_message_by_subject(&subject).await.ok()
        });
        let rung = rung.await;
        let early = i128::from(due) * 1_000_000 - rung.time.unix_timestamp_nanos();
        assert!(early <= 0, "alarm {number} rings {early} ns early");
    }
    assert_eq!(backend.stream_counts().await.unwrap().alarms, 0, "an alarm is gone when it has rung");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_armed_twice_rings_once() {
    let backend = backend("twice").await;
    let mut tickets = open(&backend).await;
    let armed = alarm(&backend, SOON, &run("a"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    backend.arm(armed.clone()).await.unwrap();
    assert_eq!(backend.stream_counts().await.unwrap().alarms, 1);
    rings_once(&mut tickets, &armed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_a_run_are_alarms_of_their_own() {
    let backend = backend("times").await;
    let mut tickets = open(&backend).await;
    let first = alarm(&backend, SOON, &run("a"), "i1");
    let second = alarm_at(first.due.after(Duration::from_millis(1)), &run("a"), "i2");
    let third = alarm_at(first.due.after(SOON), &run("a"), "i3");
    for alarm in [&first, &second, &third] {
        backend.arm(alarm.clone()).await.unwrap();
    }
    backend.disarm(&run("a"), Incarnation::default(), Some(second.due)).await.unwrap();
    for alarm in [first, third] {
        assert_eq!(next(&mut tickets).await.ticket.item, alarm.ticket.item);
    }
    nothing_more(&mut tickets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_disarmed_does_not_ring() {
    let backend = backend("disarm").await;
    let mut tickets = open(&backend).await;
    let [disarmed, other] = ["a", "b"].map(|id| alarm(&backend, SOON, &run(id), "i1"));
    backend.arm(disarmed.clone()).await.unwrap();
    backend.arm(other.clone()).await.unwrap();
    let disarm =
        async || backend.disarm(&run("a"), Incarnation::default(), Some(disarmed.due)).await.unwrap();
    disarm().await;
    rings_once(&mut tickets, &other).await;
    // It does not exist.
    disarm().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_alarms_of_one_start_of_a_run_are_disarmed() {
    let backend = backend("disarm-all").await;
    for due in [HOUR, HOUR * 24, HOUR * 24 * 29] {
        backend.arm(alarm(&backend, due, &run("a"), "i1")).await.unwrap();
    }
    backend.arm(alarm(&backend, HOUR, &run("b"), "i1")).await.unwrap();
    backend.disarm(&run("a"), Incarnation::from_random(7 << 32), None).await.unwrap();
    assert_eq!(backend.stream_counts().await.unwrap().alarms, 4);
    backend.disarm(&run("a"), Incarnation::default(), None).await.unwrap();
    assert_eq!(backend.stream_counts().await.unwrap().alarms, 1);
}

/// The first wake-up waits for a host, since it may be leased by one that hangs.
#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_does_not_replace_an_earlier_one_of_its_run() {
    let backend = backend("wakes").await;
    let now = backend.clock().now();
    for (item, due) in [("i1", now.before(SOON)), ("i2", now)] {
        backend.arm(alarm_at(due, &run("a"), item)).await.unwrap();
    }
    wait_until("both have rung", DEADLINE, async || backend.stream_counts().await.unwrap().alarms == 0).await;
    let mut tickets = open(&backend).await;
    let mut items = BTreeSet::new();
    for _ in 0..2 {
        let delivery = next(&mut tickets).await;
        items.insert(delivery.ticket.item.to_string());
        delivery.lease.ack().await.unwrap();
    }
    assert_eq!(items, ["i1", "i2"].map(str::to_owned).into());
    nothing_more(&mut tickets).await;
}

/// A purge could make a consumer forget which messages it has delivered.
#[tokio::test(flavor = "multi_thread")]
async fn disarming_leaves_wake_ups_that_are_being_forwarded() {
    let backend = backend("leased").await;
    drop(open(&backend).await);
    let stream = stream_of(backend.namespace(), "TIMERS").await;
    let wakes = stream.get_consumer::<jetstream::consumer::pull::Config>("wake_pay").await.unwrap();
    let (past, far) = (alarm_at(Timestamp(0), &run("a"), "i1"), alarm(&backend, HOUR, &run("b"), "i1"));
    backend.arm(past).await.unwrap();
    backend.arm(far.clone()).await.unwrap();
    let first = wakes.fetch().max_messages(1).expires(DEADLINE).messages().await.unwrap().next().await;
    let first = first.unwrap().unwrap();
    backend.disarm(&run("b"), Incarnation::default(), Some(far.due)).await.unwrap();
    first.ack_with(jetstream::AckKind::Nak(None)).await.unwrap();
    let second = wakes.fetch().max_messages(1).expires(DEADLINE).messages().await.unwrap().next().await;
    let second = second.unwrap().unwrap();
    assert_eq!((&second.subject, second.info().unwrap().delivered), (&first.subject, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_has_passed_rings_at_once() {
    let backend = backend("past").await;
    let mut tickets = open(&backend).await;
    for due in [Timestamp(0), backend.clock().now().before(HOUR), backend.clock().now()] {
        let armed = alarm_at(due, &run("a"), "i1");
        backend.arm(armed.clone()).await.unwrap();
        rings_once(&mut tickets, &armed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_the_server_cannot_take_is_refused() {
    let backend = backend("far").await;
    let mut tickets = open(&backend).await;
    let latest = Timestamp::parse("2262-04-11T23:47:16.854Z").unwrap();
    backend.arm(alarm_at(latest, &run("a"), "i1")).await.unwrap();
    for later in [Timestamp(latest.0 + 1), Timestamp::parse("9999-12-31T23:59:59.999Z").unwrap()] {
        let refused = backend.arm(alarm_at(later, &run("b"), "i1")).await.unwrap_err();
        assert_eq!(refused.kind(), BackendErrorKind::Invalid, "{refused}");
    }
    nothing_more(&mut tickets).await;
    let counts = backend.queues().await.unwrap().alarms;
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("pay".to_owned(), 1)]);
    backend.disarm(&run("a"), Incarnation::default(), Some(latest)).await.unwrap();
    assert_eq!(messages(&backend).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alarms_of_another_workflow_are_left_to_its_hosts() {
    let backend = backend("others").await;
    let ship = WorkflowName::new("ship").unwrap();
    let mut tickets = open(&backend).await;
    let others = alarm(&backend, Duration::ZERO, &RunKey::new(ship.clone(), run("a").run_id), "i1");
    backend.arm(others.clone()).await.unwrap();
    nothing_more(&mut tickets).await;
    let mut tickets = open_of(&backend, &ship).await;
    rings_once(&mut tickets, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_free_slot_forwards_wake_ups() {
    let backend = backend("noslot").await;
    let mut tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(1))).await.unwrap();
    backend.publish(vec![(ticket(&run("long"), "i1"), FINGERPRINT)]).await.unwrap();
    let held = next(&mut tickets).await;
    backend.arm(alarm(&backend, Duration::ZERO, &run("a"), "i1")).await.unwrap();
    let forwarded = wait_until("the alarm has a ticket", DEADLINE, async || {
        !backend.items_with_tickets(&run("a"), None).await.unwrap().is_empty()
    });
    tokio::select! {
        () = forwarded => {}
        more = tickets.next() => panic!("there is no free slot: {more:?}"),
    }
    drop(held);
    assert_eq!(next(&mut tickets).await.ticket.run(), run("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_tickets_ends_with_its_slots() {
    let backend = backend("ends").await;
    let slots = Arc::new(Semaphore::new(4));
    let mut tickets = backend.tickets(&workflow(), Arc::clone(&slots)).await.unwrap();
    assert!(timeout(Duration::from_millis(200), tickets.next()).await.is_err());
    slots.close();
    assert!(timeout(DEADLINE, tickets.next()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_worker_may_use_alarms() {
    let worker = connect(crate::permissions::worker().await).await;
    let mut tickets = open(&worker).await;
    let [disarmed, armed] = ["a", "b"].map(|id| alarm(&worker, SOON, &run(id), "i1"));
    for alarm in [&disarmed, &armed] {
        worker.arm(alarm.clone()).await.unwrap();
    }
    worker.disarm(&run("a"), Incarnation::default(), Some(disarmed.due)).await.unwrap();
    rings_once(&mut tickets, &armed).await;
    let now = worker.clock().now();
    assert_eq!(worker.ring_overdue(&workflow(), now.before(HOUR), now).await.unwrap(), 0);
    assert_eq!(worker.drop_stale_tickets(&workflow()).await.unwrap(), 0);
    assert!(worker.queues().await.unwrap().alarms.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_carry_their_trace_in_headers() {
    let backend = backend("alarmtrace").await;
    let armed = alarm(&backend, HOUR, &run("a"), "i1");
    backend.arm(armed.clone()).await.unwrap();
    let stream = stream_of(backend.namespace(), "TIMERS").await;
    let (minute, millisecond) = (armed.due.0 / 60_000, armed.due.0 % 60_000);
    let subject = format!("jetway.{}.timer.{minute}.pay.a.00000000.{millisecond}", backend.namespace());
    let stored = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    assert_eq!(stored.headers.get("traceparent").unwrap().as_str(), "00-aa-bb-01");
    assert_eq!(stored.headers.get("Nats-Schedule").unwrap().as_str(), format!("@at {}", armed.due));
}
