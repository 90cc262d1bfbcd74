//! Nothing polls.

use crate::support::{DEADLINE, HostProcess, jetway_json, messages, monitoring};
use anyhow::Result;
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use std::time::{Duration, Instant};

/// Promise 8. The server's own counters, over 20 seconds in which there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn p8_an_idle_host_sends_heartbeats_and_otherwise_nothing() -> Result<()> {
    let server = NatsServer::builder().extra_config("http: \"127.0.0.1:-1\"").start().await?;
    let (url, ns) = (server.url(), unique_namespace("idle"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    // It has worked before: idle is not the same as unused.
    let done = jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--wait"]).await?;
    assert_eq!(done["output"], 10);
    let counters = monitoring(&server)?;
    let before = messages(&counters).await?;
    let began = Instant::now();
    wait_until("20 seconds are over", DEADLINE, async || began.elapsed() >= Duration::from_secs(20)).await;
    let rate = (messages(&counters).await? - before) as f64 / began.elapsed().as_secs_f64();
    // Four workflows with a pull of starts, of signals, of tickets and of wake-ups each, at three messages in 30 seconds, and two
    // consumers of each that every sweep asks for. The rest is for announcements and for what a sweep asks once.
    let of_a_workflow = 0.1 * 4.0 + 0.2;
    assert!(
        rate < 1.5 + of_a_workflow * 4.0,
        "an idle host and its server exchange {rate:.2} messages a second"
    );
    assert!(rate > 0.0, "the host sends no heartbeats");
    Ok(())
}
