//! Start messages of clients.

use crate::support::{DEADLINE, backend, client, config, connect, run, workflow};
use async_nats::{HeaderMap, jetstream};
use futures::{StreamExt as _, stream::BoxStream};
use jetway_engine::backend::{BackendError, Hosts as _, Results as _, StartDelivery, StartRequest, Starts};
use jetway_nats::NatsBackend;
use jetway_state::{
    RunId, Timestamp,
    codec::Encoding,
    run::{RunDeadline, StartTime, WantedResult},
    trace::TraceHeaders,
};
use jetway_testing::wait_until;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

type Deliveries = BoxStream<'static, Result<StartDelivery, BackendError>>;

async fn open(backend: &NatsBackend) -> Deliveries {
    backend.starts(&workflow(), Arc::new(Semaphore::new(8))).await.unwrap()
}

async fn next(starts: &mut Deliveries) -> StartDelivery {
    timeout(DEADLINE, starts.next()).await.expect("no start is delivered").unwrap().unwrap()
}

async fn messages(backend: &NatsBackend, stream: &str) -> u64 {
    let jetstream = jetstream::new(client().await);
    let stream = jetstream.get_stream(format!("JETWAY_{}_{stream}", backend.namespace())).await.unwrap();
    stream.cached_info().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_delivered_as_published() {
    let backend = backend("starts").await;
    let mut starts = open(&backend).await;
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let request = StartRequest {
            workflow: "pay".to_owned(),
            run_id: "order-1".to_owned(),
            input: "[1]".into(),
            encoding,
            start_time: StartTime::At(Timestamp(1_900_000_000_001)),
            deadline: RunDeadline::parse("90s"),
            trace: TraceHeaders { parent: Some("00-aa-bb-01".to_owned()), state: None },
        };
        backend.publish_start(&request).await.unwrap();
        let delivery = next(&mut starts).await;
        assert_eq!(delivery.request, request);
        assert_eq!(delivery.original.payload, request.input);
        assert!(delivery.original.subject.ends_with(".start.pay"), "{}", delivery.original.subject);
        delivery.lease.ack().await.unwrap();
    }
    wait_until("the starts are removed", DEADLINE, async || messages(&backend, "START").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_publish_an_input_without_headers() {
    let backend = backend("plain").await;
    let mut starts = open(&backend).await;
    let client = client().await;
    let subject = format!("jetway.{}.start.pay", backend.namespace());
    client.publish(subject.clone(), "{\"n\":1}".into()).await.unwrap();
    let delivery = next(&mut starts).await;
    assert_eq!(
        (delivery.request.encoding, &delivery.request.trace),
        (Encoding::Json, &TraceHeaders::default())
    );
    let run_id = delivery.request.run_id.clone();
    assert!(RunId::new(&run_id).is_ok() && run_id.starts_with("s1-"), "{run_id}");
    // The same message is the same run when it is delivered again.
    delivery.lease.nak().await.unwrap();
    assert_eq!(next(&mut starts).await.request.run_id, run_id);
    // Another message is another run.
    client.publish(subject, "{\"n\":1}".into()).await.unwrap();
    assert_ne!(next(&mut starts).await.request.run_id, run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn w44_a_start_time_is_the_same_for_each_delivery() {
    let backend = backend("later").await;
    let mut starts = open(&backend).await;
    let client = client().await;
    let subject = format!("jetway.{}.start.pay", backend.namespace());
    let mut read = async |name: &str, text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, text);
        client.publish_with_headers(subject.clone(), headers, "1".into()).await.unwrap();
        let first = next(&mut starts).await;
        let time = first.request.start_time.clone();
        first.lease.nak().await.unwrap();
        let second = next(&mut starts).await;
        assert_eq!(second.request.start_time, time, "{text}");
        second.lease.ack().await.unwrap();
        time
    };
    for name in ["Jetway-Start-At", "jetway-start-at", "JETWAY-START-AT"] {
        let time = read(name, "2030-01-31T08:00:00.001+01:00").await;
        assert_eq!(time, StartTime::At(Timestamp::parse("2030-01-31T07:00:00.001Z").unwrap()), "{name}");
    }
    // It counts from the time at which the message was stored.
    let before = backend.clock().now();
    let StartTime::At(time) = read("Jetway-Start-At", "+10m").await else { panic!("it is a time") };
    let (early, late) =
        (before.after(Duration::from_secs(590)), backend.clock().now().after(Duration::from_secs(610)));
    assert!(early < time && time < late, "{time} is not in ten minutes");
    assert_eq!(read("Jetway-Start-At", "soon").await, StartTime::Unreadable("soon".to_owned()));
    assert_eq!(read("Jetway-Start-After", "soon").await, StartTime::Now);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_clients_that_the_server_acts_on_are_refused() {
    let backend = backend("headers").await;
    let jetstream = jetstream::new(client().await);
    let subject = format!("jetway.{}.start.pay", backend.namespace());
    for (name, value) in [("Nats-Rollup", "all"), ("Nats-TTL", "1s"), ("Nats-Schedule", "@every 1s")] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        let refused =
            jetstream.publish_with_headers(subject.clone(), headers, "1".into()).await.unwrap().await;
        assert!(refused.is_err(), "{name} was taken: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_of_unknown_workflows_become_dead_letters() {
    let backend = backend("unknown").await;
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap(), 0);
    let served = open(&backend).await;
    drop(served);
    let client = client().await;
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Run-Id", "r1");
    let start = |workflow: &str| format!("jetway.{}.start.{workflow}", backend.namespace());
    client.publish_with_headers(start("nobody"), headers, "{\"a\":1}".into()).await.unwrap();
    client.publish(start("nobody"), "2".into()).await.unwrap();
    client.publish(start("pay"), "3".into()).await.unwrap();
    wait_until("the starts are stored", DEADLINE, async || messages(&backend, "START").await == 3).await;
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::from_secs(600)).await.unwrap(), 0);
    assert_eq!(messages(&backend, "START").await, 3);
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(messages(&backend, "START").await, 1);
    let dead =
        jetstream::new(client).get_stream(format!("JETWAY_{}_DEAD", backend.namespace())).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 2);
    let letter = dead.get_raw_message(1).await.unwrap();
    assert_eq!(
        letter.subject.as_str(),
        format!("jetway.{}.dead.nobody.unknown-workflow", backend.namespace())
    );
    assert_eq!(letter.payload.as_ref(), b"{\"a\":1}");
    assert_eq!(letter.headers.get("Jetway-Run-Id").unwrap().as_str(), "r1");
    assert!(letter.headers.get("Jetway-Reason").unwrap().as_str().contains("\"nobody\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_unknown_workflows_costs_two_requests() {
    let backend = backend("cheap").await;
    // At first the backend asks for other things on the same connection.
    wait_until("looking costs one request for each stream", DEADLINE, async || {
        let before = backend.traffic();
        backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap();
        backend.traffic().sent - before.sent == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_workflow_name_is_refused() {
    let backend = backend("bad").await;
    for workflow in ["", "a.b", "*"] {
        let request = StartRequest { workflow: workflow.to_owned(), ..StartRequest::default() };
        let refused = backend.publish_start(&request).await.unwrap_err();
        assert!(refused.to_string().contains("workflow name"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_the_largest_size_becomes_a_dead_letter() {
    let backend = backend("starts").await;
    let client = client().await;
    let most = client.server_info().max_payload;
    let (ns, jetstream) = (backend.namespace().to_owned(), jetstream::new(client));
    let moved = backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap();
    assert_eq!(moved, 0);
    for (headers, payload) in [(0, most - 100), (60_000, most / 3), (60_000, most - 65_000)] {
        let mut long = HeaderMap::new();
        long.append("padding", "h".repeat(headers).as_str());
        let subject = format!("jetway.{ns}.start.nobody");
        let stored = jetstream.publish_with_headers(subject, long, vec![b'p'; payload].into()).await;
        stored.unwrap().await.expect("the server stores it");
        wait_until("it is a dead letter", DEADLINE, async || {
            backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap() == 1
        })
        .await;
        assert_eq!(messages(&backend, "START").await, 0);
        let dead = jetstream.get_stream(format!("JETWAY_{ns}_DEAD")).await.unwrap();
        let letter = dead.get_last_raw_message_by_subject(&format!("jetway.{ns}.dead.>")).await.unwrap();
        let size = letter.headers.get("Jetway-Original-Size").expect("it has its original size").to_string();
        assert!(size.contains(&format!("{payload} bytes of payload")), "{size}");
        assert!(
            letter.payload.len() + 5000 > payload.min(most - 10_000 - headers),
            "{}",
            letter.payload.len()
        );
    }
}

/// An operator, or a host that misses it, makes the stream of starts again: it begins with sequence 1.
#[tokio::test(flavor = "multi_thread")]
async fn u11_a_stream_that_is_made_again_mixes_up_no_starts() {
    let config = config("again").await;
    let backend = connect(config.clone()).await;
    let (jetstream, ns) = (jetstream::new(client().await), backend.namespace().to_string());
    let request = StartRequest { workflow: "pay".to_owned(), run_id: "r".to_owned(), ..request_of_nothing() };
    let key = run("r");
    let mut told = Vec::new();
    for _ in 0..2 {
        let start = backend.publish_start(&request).await.unwrap();
        assert_eq!(start.sequence, 1);
        let early = backend.done(&key, WantedResult::New(start), Duration::from_millis(200)).await.unwrap();
        assert_eq!(early, None, "it gets the refusal of another start");
        wait_until("it is refused", DEADLINE, async || {
            backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap() == 1
        })
        .await;
        let refusal = backend.done(&key, WantedResult::New(start), DEADLINE).await.unwrap();
        told.push(refusal.expect("it is published"));
        let name = format!("JETWAY_{ns}_START");
        jetstream.delete_stream(&name).await.unwrap();
        // Connecting makes it again.
        drop(connect(config.clone()).await);
        wait_until("the stream is there again", DEADLINE, async || jetstream.get_stream(&name).await.is_ok())
            .await;
    }
    assert_ne!(told[0], told[1]);
    assert_eq!(messages(&backend, "DEAD").await, 2, "the second dead letter counts as the first one");
}

fn request_of_nothing() -> StartRequest {
    StartRequest { input: "null".into(), ..StartRequest::default() }
}
