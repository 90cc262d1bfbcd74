//! Headers over which the client library gives up its connection: a lone carriage return. They cost a connection that is made
//! again, and never that of writes.

use crate::{
    service::echo,
    support::{DEADLINE, FINGERPRINT, backend, client, config, loaded, result, run, ticket, workflow, write},
};
use async_nats::{Client, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use jetway_engine::backend::{
    Hosts as _, Results as _, RunsQuery, SnapshotStore as _, StartRequest, Starts as _, TicketQueue as _,
};
use jetway_nats::{NatsBackend, NatsConfig, serve};
use jetway_state::{Namespace, RunKey, Seen, Timestamp, run::WantedResult};
use jetway_testing::{shared_server, wait_until};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// Publishes a message with header bytes that the client library of hosts gives up on.
pub(crate) async fn publish_raw(url: &str, subject: &str, reply: &str) {
    publish_headers(url, subject, reply, "a: b\rc\r\n").await;
}

/// Publishes a message with these header lines.
async fn publish_headers(url: &str, subject: &str, reply: &str, lines: &str) {
    let address = url.strip_prefix("nats://").unwrap();
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let (headers, payload) = (format!("NATS/1.0\r\n{lines}\r\n"), "0");
    let (length, whole) = (headers.len(), headers.len() + payload.len());
    let said = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {subject} {reply} {length} {whole}\r\n\
         {headers}{payload}\r\nPING\r\n"
    );
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line.trim() != "PONG" {
        line.clear();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "the server closed the connection");
        assert!(!line.starts_with("-ERR"), "{line}");
    }
}

/// Ends the lease of the latest message that a consumer has delivered, as time does.
pub(crate) async fn end_lease(namespace: &Namespace, stream: &str, consumer: &str) {
    let (client, stream) = (client().await, format!("JETWAY_{namespace}_{stream}"));
    let of_stream = jetstream::new(client.clone()).get_stream(&stream).await.unwrap();
    let info = of_stream.consumer_info(consumer).await.unwrap();
    assert!(info.num_ack_pending > 0);
    let (sequence, delivery) = (info.delivered.stream_sequence, info.delivered.consumer_sequence);
    let lease = format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.{delivery}.0.0");
    client.request(lease, "-NAK".into()).await.unwrap();
}

/// Such a ticket ends the backend that receives it. The next one moves it to the dead letters first.
#[tokio::test(flavor = "multi_thread")]
async fn a3_a_fatal_header_of_a_ticket_ends_a_backend_once() {
    let config = config("fatalticket").await;
    let url = config.servers.addresses()[0].to_string();
    let open = async || {
        let backend = NatsBackend::connect(config.clone()).await.unwrap();
        let tickets = backend.tickets(&workflow(), Arc::new(Semaphore::new(1))).await.unwrap();
        (backend, tickets)
    };
    let (first, mut tickets) = open().await;
    publish_raw(
        &url,
        &format!("jetway.{}.work.pay.charge.a.bad.00000000", config.namespace),
        "_INBOX.nobody",
    )
    .await;
    assert!(timeout(DEADLINE, tickets.next()).await.unwrap().is_none(), "the connection has ended");
    drop(first);
    end_lease(&config.namespace, "WORK", "work_pay").await;
    let (second, mut tickets) = open().await;
    second.publish(vec![(ticket(&run("a"), "good"), FINGERPRINT)]).await.unwrap();
    let next = timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.ticket.item.as_str(), "good");
    assert_eq!(second.stream_counts().await.unwrap().dead_letters.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_header_costs_the_connection_for_clients() {
    let config = config("fatal").await;
    let url = config.servers.addresses()[0].to_string();
    let (backend, client) = (Arc::new(NatsBackend::connect(config).await.unwrap()), client().await);
    let service = serve(Arc::clone(&backend), echo(&["pay"]), &[workflow()]).await.unwrap();
    let ns = backend.namespace().clone();
    for round in 0..3 {
        publish_raw(&url, &format!("jetway.{ns}.api.status.pay.r"), "_INBOX.nobody").await;
        publish_raw(&url, "$SRV.PING.jetway", "_INBOX.nobody").await;
        wait_until("the host answers again", DEADLINE, async || {
            let subject = format!("jetway.{ns}.api.status.pay.r");
            timeout(Duration::from_millis(500), client.request(subject, "".into()))
                .await
                .is_ok_and(|it| it.is_ok())
        })
        .await;
        // The other connection was not lost.
        backend.commit(write(&run(&format!("r{round}")), 0, "x")).await.unwrap();
    }
    service.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_header_of_a_start_delays_others_only() {
    let config = NatsConfig { ack_wait: Duration::from_secs(1), ..config("fatalstart").await };
    let url = config.servers.addresses()[0].to_string();
    let backend = NatsBackend::connect(config).await.unwrap();
    let slots = Arc::new(Semaphore::new(8));
    let mut starts = backend.starts(&workflow(), Arc::clone(&slots)).await.unwrap();
    publish_raw(&url, &format!("jetway.{}.start.pay", backend.namespace()), "_INBOX.nobody").await;
    assert!(timeout(DEADLINE, starts.next()).await.unwrap().is_none(), "the stream ends");
    let start =
        StartRequest { workflow: "pay".to_owned(), run_id: "r".to_owned(), ..StartRequest::default() };
    backend.publish_start(&start).await.unwrap();
    let found = timeout(DEADLINE, async {
        loop {
            let mut starts = backend.starts(&workflow(), Arc::clone(&slots)).await.unwrap();
            if let Some(start) = starts.next().await {
                return start.unwrap();
            }
        }
    });
    assert_eq!(found.await.unwrap().request.run_id, "r");
    let client = client().await;
    wait_until("the other one is a dead letter", DEADLINE, async || {
        messages(&client, &backend, "DEAD").await == 1
    })
    .await;
}

/// Of a workflow that hosts serve, and of one that they do not.
#[tokio::test(flavor = "multi_thread")]
async fn u11_a_start_with_a_fatal_header_is_told() {
    let config = NatsConfig { ack_wait: Duration::from_secs(1), ..config("fataltold").await };
    let url = config.servers.addresses()[0].to_string();
    let backend = NatsBackend::connect(config).await.unwrap();
    let ns = backend.namespace().clone();
    let lines = "a: b\rc\r\njetway-run-id: named\r\n";
    let slots = Arc::new(Semaphore::new(8));
    let mut starts = backend.starts(&workflow(), Arc::clone(&slots)).await.unwrap();
    for name in ["pay", "nobody"] {
        publish_headers(&url, &format!("jetway.{ns}.start.{name}"), "_INBOX.nobody", lines).await;
    }
    assert!(timeout(DEADLINE, starts.next()).await.unwrap().is_none(), "the stream ends");
    let _starts = backend.starts(&workflow(), slots).await.unwrap();
    wait_until("the start of nobody's workflow is a dead letter", DEADLINE, async || {
        backend.dead_letter_unroutable_starts(Duration::ZERO).await.unwrap() == 1
    })
    .await;
    let jetstream = jetstream::new(client().await);
    for (name, why) in [("pay", "unreadable-headers"), ("nobody", "unknown-workflow")] {
        let run = RunKey::new(name.parse().unwrap(), "named".parse().unwrap());
        let told =
            backend.done(&run, WantedResult::Latest, DEADLINE).await.unwrap().expect("it is published");
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["error"]["kind"], why, "{told}");
        let dead = jetstream.get_stream(format!("JETWAY_{ns}_DEAD")).await.unwrap();
        let subject = format!("jetway.{ns}.dead.{name}.{why}");
        wait_until("there is a dead letter", DEADLINE, async || {
            let letter = dead.get_last_raw_message_by_subject(&subject).await.ok()?;
            letter.headers.get("Jetway-Run-Id").is_some_and(|id| id.as_str() == "named").then_some(())
        })
        .await;
    }
}

async fn messages(client: &Client, backend: &NatsBackend, suffix: &str) -> u64 {
    let jetstream = jetstream::new(client.clone());
    let stream = jetstream.get_stream(format!("JETWAY_{}_{suffix}", backend.namespace())).await.unwrap();
    stream.cached_info().state.messages
}

/// Whoever may write to the bucket can store such a record: a host that was compromised, or a user with too many rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_header_of_a_record_ends_no_read() {
    let (backend, url) = (backend("fatalrun").await, shared_server().await.url());
    let ns = backend.namespace().clone();
    for id in ["a", "z"] {
        backend.commit(write(&run(id), 0, "x")).await.unwrap();
    }
    publish_raw(&url, &format!("$KV.JETWAY_{ns}_RUNS.pay.bad"), "_INBOX.nobody").await;
    backend.commit(write(&run("last"), 0, "x")).await.unwrap();
    let (text, revision) = loaded(&backend, &run("bad")).await.unwrap();
    assert_eq!(text, "0");
    let future = backend.clock().now().after(Duration::from_secs(3600));
    let ids = |runs: Vec<RunKey>| {
        let mut ids: Vec<_> = runs.iter().map(|run| run.run_id.to_string()).collect();
        ids.sort();
        ids
    };
    let all = ["a", "bad", "last", "z"];
    let (stale, position) = backend.stale(0, future).await.unwrap();
    assert_eq!(ids(stale.into_iter().map(|stale| stale.run).collect()), all);
    assert!(position > revision);
    // From the message itself on, and by time.
    let (stale, _) = backend.stale(revision - 1, future).await.unwrap();
    assert_eq!(ids(stale.into_iter().map(|stale| stale.run).collect()), ["bad", "last"]);
    // Without a status it may be any.
    assert_eq!(backend.ended_since(Timestamp(0)).await.unwrap(), [run("bad")]);
    let page = backend.runs(&RunsQuery::default()).await.unwrap();
    assert_eq!(ids(page.runs.into_iter().map(|stored| stored.run).collect()), all);
    let keys = all.map(run);
    let found = backend.glance(&keys).await.unwrap();
    assert_eq!(ids(found.into_iter().map(|stored| stored.run).collect()), all);
    // It is mended by the next write.
    backend.commit(write(&run("bad"), revision, "y")).await.unwrap();
    assert_eq!(loaded(&backend, &run("bad")).await.unwrap().0, "y");
    assert!(backend.load(&run("none"), Seen::default()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_header_of_a_result_keeps_no_result_away() {
    let (backend, url) = (Arc::new(backend("fatalend").await), shared_server().await.url());
    let subject = |id: &str| format!("jetway.{}.done.pay.{id}", backend.namespace());
    publish_raw(&url, &subject("before"), "_INBOX.nobody").await;
    backend.publish_done(result(&run("before"), "1")).await.unwrap();
    let told = backend.done(&run("before"), WantedResult::Latest, Duration::ZERO).await.unwrap();
    assert_eq!(told, Some(Bytes::from_static(b"1")));
    // Somebody waits, and the message arrives.
    let (waiting, waited_for) = (Arc::clone(&backend), run("meanwhile"));
    let told = tokio::spawn(async move { waiting.done(&waited_for, WantedResult::Latest, DEADLINE).await });
    let server = shared_server().await;
    wait_until("it is subscribed", DEADLINE, async || {
        // Each message that the waiting one gets ends its connection.
        publish_raw(&server.url(), &subject("meanwhile"), "_INBOX.nobody").await;
        backend.publish_done(result(&run("meanwhile"), "2")).await.is_ok()
    })
    .await;
    assert_eq!(told.await.unwrap().unwrap(), Some(Bytes::from_static(b"2")));
    backend.commit(write(&run("r"), 0, "x")).await.unwrap();
}
