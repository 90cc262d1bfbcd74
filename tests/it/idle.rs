//! Nothing polls.

use crate::support::{DEADLINE, HostProcess, jetway_json, messages, monitoring};
use anyhow::Result;
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use std::time::{Duration, Instant};

/// The workflows that a test host serves, each with a pull of starts, of signals, of tickets and of wake-ups.
const PULLS: f64 = 4.0 * 4.0;
/// How many messages a second a host may cost for each pull, everything included: its record, its sweeps, its looks at streams.
const EACH: f64 = 0.1;
/// Over how long messages are counted: several sweeps, and a fraction of the time that a request waits.
const WINDOW: Duration = Duration::from_secs(60);

/// Promise 8. The server's own counters, over a minute in which there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn p8_an_idle_host_sends_heartbeats_and_otherwise_nothing() -> Result<()> {
    let server = NatsServer::builder().extra_config("http: \"127.0.0.1:-1\"").start().await?;
    let (url, ns) = (server.url(), unique_namespace("idle"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    // It has worked before: idle is not the same as unused.
    let done = jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--wait"]).await?;
    assert_eq!(done["output"], 10);
    let counters = monitoring(&server)?;
    // A host that has just come looks more often: tickets may have been lost before it came.
    let mut rates = Vec::new();
    while rates.len() < 3 && rates.last().is_none_or(|rate| *rate > EACH * PULLS) {
        let (before, began) = (messages(&counters).await?, Instant::now());
        wait_until("a minute is over", DEADLINE, async || began.elapsed() >= WINDOW).await;
        rates.push((messages(&counters).await? - before) as f64 / began.elapsed().as_secs_f64());
    }
    println!("messages a second of an idle host, every {WINDOW:?}: {rates:.2?}");
    let rate = rates.last().copied().unwrap_or_default();
    assert!(rate <= EACH * PULLS, "messages a second, every {WINDOW:?}: {rates:.2?}");
    assert!(rate > 0.0, "the host sends no heartbeats");
    Ok(())
}
