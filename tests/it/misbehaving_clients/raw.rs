//! Messages as they come over the wire, headers included: a client library would not send these.

use super::Host;
use crate::support::{DEADLINE, HostProcess, jetway_json};
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use jetway_testing::try_wait_until;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Publishes a message with these header bytes, and waits until the server has it.
pub(super) async fn publish(host: &Host, subject: &str, headers: &[u8], payload: &[u8]) -> Result<()> {
    let address = host.url.strip_prefix("nats://").context("an address")?;
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let (length, whole) = (headers.len(), headers.len() + payload.len());
    let mut said =
        b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":false}\r\n"
            .to_vec();
    said.extend(format!("HPUB {subject} {length} {whole}\r\n").into_bytes());
    said.extend([headers, payload, b"\r\nPING\r\n"].concat());
    stream.write_all(&said).await?;
    let mut line = String::new();
    while line.trim() != "PONG" {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "the server closed the connection");
        ensure!(!line.starts_with("-ERR"), "the server refuses {subject}: {line}");
    }
    Ok(())
}

/// Headers that the client library of the host cannot read, over which it closes its connection, and some that it can
/// and that look like words of the server.
const HEADERS: [&[u8]; 9] = [
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\n\xff\xfe: x\r\n\r\n",
    b"NATS/1.0 what\r\n\r\n",
    b"NATS/1.0\r\nb d: x\r\n\r\n",
    b"HTTP/1.1\r\na: b\r\n\r\n",
    b"NATS/1.0 404 No Messages\r\n\r\n",
    b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
];

/// Promise 7: not even a start whose headers cannot be read disappears, or keeps others from being taken.
#[tokio::test(flavor = "multi_thread")]
async fn p7_starts_with_unreadable_headers_become_dead_letters() -> Result<()> {
    let mut host = Host::start("raw").await?;
    let pid = host.process.pid();
    for (number, headers) in HEADERS.into_iter().enumerate() {
        publish(&host, &host.subject("start.chain"), headers, b"\"no number\"").await?;
        publish(&host, &host.subject("work.chain.one.r.start.00000000"), headers, b"no ticket").await?;
        // A question that was on its way when the connection was lost would be lost as well.
        host.works_when_it_can(&format!("after-{number}")).await?;
    }
    for _ in 0..4 {
        host.buried("bad-input", "").await?;
    }
    host.buried("unreadable-headers", "").await?;
    host.is_idle_again().await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    Ok(())
}

/// The client library of the host fails over a lone carriage return, and its connection with it. It is the one over which
/// clients reach the host: the host makes another one, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_fatal_header_costs_no_host() -> Result<()> {
    let mut host = Host::start("return").await?;
    let pid = host.process.pid();
    publish(&host, &host.subject("start.chain"), b"NATS/1.0\r\na: b\rc\r\n\r\n", b"0").await?;
    host.buried("unreadable-headers", "").await?;
    host.works_when_it_can("after").await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    Ok(())
}

/// Whoever may write to the bucket of records, or publish results, can store such a message: a host that was compromised, or a
/// user with too many rights. The host reads it in each sweep, and when somebody lists runs.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_fatal_header_of_a_record_or_result_costs_no_host() -> Result<()> {
    let host = Host::start("stored").await?;
    let pid = host.process.pid();
    let headers = b"NATS/1.0\r\na: b\rc\r\n\r\n";
    publish(&host, &host.key("RUNS", "chain.bad"), headers, b"no record").await?;
    publish(&host, &host.subject("done.chain.again"), headers, b"no result").await?;
    let answer = host.client.request(host.subject("api.runs"), "".into()).await?;
    let runs: Value = serde_json::from_slice(&answer.payload)?;
    assert!(runs["unreadable"].to_string().contains("bad"), "{runs:#}");
    host.works_when_it_can("again").await?;
    let result = jetway_json(&host.url, &host.ns, &["result", "chain", "again"]).await?;
    assert_eq!(result["output"], 10);
    // The page of runs has cost one connection, the sweep costs another one.
    let lost = || host.process.log_lines("ended the connection over which it was read").len() > 1;
    try_wait_until("a sweep has read the record", DEADLINE * 2, async || lost()).await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    Ok(())
}

/// A ticket like this ends the host that gets it: leases and writes share its connection. The next host moves it to the dead
/// letters before it is delivered again.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_fatal_header_of_a_ticket_ends_one_host_once() -> Result<()> {
    let mut host = Host::start("ticket").await?;
    publish(&host, &host.subject("work.chain.one.r.start.00000000"), b"NATS/1.0\r\na: b\rc\r\n\r\n", b"x")
        .await?;
    let next = HostProcess::start(&host.url, &host.ns, &[]).await?;
    let ended = std::mem::replace(&mut host.process, next).wait().await?;
    assert!(!ended.success());
    host.buried("unreadable-headers", "").await?;
    let pid = host.process.pid();
    host.works_when_it_can("after").await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    Ok(())
}

/// One host, which its service manager starts again after the lease of the ticket has ended: the ticket is delivered again at
/// once.
#[tokio::test(flavor = "multi_thread")]
async fn a3_a_fatal_header_of_a_ticket_ends_a_lone_host_once() -> Result<()> {
    let mut host = Host::start("lone").await?;
    publish(&host, &host.subject("work.chain.one.r.start.00000000"), b"NATS/1.0\r\na: b\rc\r\n\r\n", b"x")
        .await?;
    assert!(!host.process.wait().await?.success());
    end_lease(&host.client, &host.ns).await?;
    host.process = HostProcess::start(&host.url, &host.ns, &[]).await?;
    let pid = host.process.pid();
    host.buried("unreadable-headers", "").await?;
    host.works_when_it_can("after").await?;
    host.works().await?;
    assert_eq!(host.process.pid(), pid);
    Ok(())
}

/// Ends the lease of the latest ticket, as time does.
async fn end_lease(client: &async_nats::Client, ns: &str) -> Result<()> {
    let (stream, consumer) = (format!("JETWAY_{ns}_WORK"), "work_chain");
    let tickets = jetstream::new(client.clone()).get_stream(&stream).await?;
    let info = tickets.consumer_info(consumer).await?;
    assert!(info.num_ack_pending > 0);
    let (sequence, delivery) = (info.delivered.stream_sequence, info.delivered.consumer_sequence);
    let lease = format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.{delivery}.0.0");
    let ended = client.request(lease, "-NAK".into()).await?;
    ensure!(ended.payload.is_empty(), "{ended:?}");
    Ok(())
}
