//! Hosts and servers that are killed in the middle of a run.

use crate::support::{
    DEADLINE, HostProcess,
    corpus::{Counts, directory},
    jetway_json,
};
use anyhow::Result;
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::path::Path;

/// Enough that a kill comes in the middle.
const FILES: usize = 3000;

/// Publishes the start message as any client would.
async fn start(url: &str, ns: &str, root: &Path) -> Result<()> {
    let js = async_nats::jetstream::new(async_nats::connect(url).await?);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Jetway-Run-Id", "corpus-1");
    let input = json!({ "path": root, "top": 5 }).to_string();
    js.publish_with_headers(format!("jetway.{ns}.start.corpus"), headers, input.into()).await?.await?;
    Ok(())
}

/// Waits until some steps of the run are committed, and most are not.
async fn in_the_middle(url: &str, ns: &str) -> Result<u64> {
    let steps = wait_until("the run is in the middle", DEADLINE, async || {
        let status = jetway_json(url, ns, &["status", "corpus", "corpus-1"]).await.ok()?;
        status["steps"].as_u64().filter(|steps| *steps > 50)
    })
    .await;
    anyhow::ensure!(steps < FILES as u64, "the run was over before it could be disturbed: {steps} steps");
    Ok(steps)
}

async fn result(url: &str, ns: &str) -> Result<Value> {
    let js = async_nats::jetstream::new(async_nats::connect(url).await?);
    let stream = js.get_stream(format!("JETWAY_{ns}_DONE")).await?;
    let subject = format!("jetway.{ns}.done.corpus.corpus-1");
    let stored = wait_until("the run has ended", DEADLINE * 2, async || {
        stream.get_last_raw_message_by_subject(&subject).await.ok()
    })
    .await;
    Ok(serde_json::from_slice(&stored.payload)?)
}

/// Every file was counted once, whatever happened on the way.
fn check(result: &Value, root: &Path) -> Result<()> {
    assert_eq!(result["status"], "completed", "{result:#}");
    assert_eq!(Counts::of_report(&result["output"])?, Counts::by_wc(root)?);
    // The scan, a step for each file, a fallback for the binary one, the merge and the report.
    assert_eq!(result["steps"], FILES as u64 + 1 + 1 + 1 + 2);
    assert_eq!(result["outputs"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_is_killed_in_the_middle_of_a_run() -> Result<()> {
    let server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("killhost"));
    let (_kept, root) = directory(FILES)?;
    let doomed = HostProcess::start(&url, &ns, &[]).await?;
    let _survivor = HostProcess::start(&url, &ns, &[]).await?;
    start(&url, &ns, &root).await?;
    in_the_middle(&url, &ns).await?;
    doomed.kill().await?;
    check(&result(&url, &ns).await?, &root)
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p2_the_server_is_killed_in_the_middle_of_a_run() -> Result<()> {
    let mut server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("killserver"));
    let (_kept, root) = directory(FILES)?;
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    start(&url, &ns, &root).await?;
    in_the_middle(&url, &ns).await?;
    server.kill().await?;
    server.restart().await?;
    check(&result(&url, &ns).await?, &root)
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p4_the_only_host_is_killed_and_another_one_comes() -> Result<()> {
    let server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("killonly"));
    let (_kept, root) = directory(FILES)?;
    let doomed = HostProcess::start(&url, &ns, &[]).await?;
    start(&url, &ns, &root).await?;
    let before = in_the_middle(&url, &ns).await?;
    doomed.kill().await?;
    let _heir = HostProcess::start(&url, &ns, &[]).await?;
    let result = result(&url, &ns).await?;
    assert!(result["steps"].as_u64() > Some(before));
    check(&result, &root)
}
