//! Memory: what a node takes, and what many runs at once take.

use super::{
    process::HostProcess,
    support::{Setup, goes_on, key, named},
};
use crate::support::DEADLINE;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use jetway::{client::Status, host::EngineConfig};
use jetway_testing::{resident_bytes, unique_namespace, wait_until};
use serde_json::Value;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// More than any process has room for.
const TOO_MUCH: usize = 1 << 46;

/// A host cannot limit what its nodes allocate. It is lost, and started again by whoever supervises it, and the run that
/// did it fails when it has done so often enough.
#[tokio::test(flavor = "multi_thread")]
async fn p9_a_node_that_kills_its_host_fails_its_run_only() -> Result<()> {
    let setup = Setup::impatient("hungry", EngineConfig::default()).await?;
    let (url, ns) = (setup.server.url(), setup.ns.clone());
    let deaths = Arc::new(AtomicU32::new(0));
    let died = Arc::clone(&deaths);
    let supervisor = tokio::spawn(async move {
        loop {
            let status = HostProcess::spawn(&url, &ns)?.wait().await?;
            anyhow::ensure!(!status.success(), "the host ended by itself");
            died.fetch_add(1, Ordering::SeqCst);
        }
        #[expect(unreachable_code, reason = "says what the loop fails with")]
        anyhow::Ok(())
    });
    wait_until("the host is up", DEADLINE, async || setup.hosts().await.is_ok_and(|hosts| hosts.len() == 2))
        .await;
    setup.start("hungry", &TOO_MUCH, &named("hungry")?).await?;
    wait_until("the host is lost once", DEADLINE, async || deaths.load(Ordering::SeqCst) > 0).await;
    for number in 0..20 {
        goes_on(&setup, &format!("beside-{number}")).await?;
    }
    let done = setup.result(&key("hungry", "hungry")?, DEADLINE).await?;
    let error = done.error.context("a failed run has an error")?;
    assert_eq!((done.status, error.kind.as_str()), (Status::Failed, "worker_lost"), "{error:?}");
    assert_eq!(error.node.as_deref(), Some("devour"));
    assert!(error.message.contains("the host ended 3 times"), "{error:?}");
    assert_eq!(deaths.load(Ordering::SeqCst), 3);
    // The host that was lost serves again.
    setup.publish_start("hungry", &1, &named("modest")?).await?;
    let modest = setup.result(&key("hungry", "modest")?, DEADLINE).await?;
    assert_eq!(modest.status, Status::Completed);
    assert!(!supervisor.is_finished(), "{:?}", supervisor.await);
    supervisor.abort();
    goes_on(&setup, "after").await
}

/// The memory that a host may take up more for thousands of starts that come at once. A debug build takes the most.
const ROOM: u64 = 256 << 20;

/// How many are left as messages, and how many are asked for: more than a host answers at once.
const EACH: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn p9_ten_thousand_starts_at_once_complete_in_bounded_memory() -> Result<()> {
    let server = jetway_testing::NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("starts"));
    let host = HostProcess::start(&url, &ns).await?;
    let client =
        jetway::Client::connect_with(jetway::NatsConfig::new(&url).in_namespace(ns.parse()?)).await?;
    goes_on(&client, "before").await?;
    let plain = async_nats::connect(&url).await?;
    let mut results = plain.subscribe(format!("jetway.{ns}.done.hungry.*")).await?;
    plain.flush().await?;
    let memory = || host.pid().and_then(resident_bytes).context("the host is up");
    let (before, mut most) = (memory()?, 0);

    // Half of them as any client leaves them, without waiting for anything, and half of them by asking.
    let left = async {
        for _ in 0..EACH {
            plain.publish(format!("jetway.{ns}.start.hungry"), "1".into()).await?;
        }
        plain.flush().await?;
        anyhow::Ok(())
    };
    let asked = stream::iter(0..EACH).map(Ok::<_, anyhow::Error>).try_for_each_concurrent(None, |number| {
        let client = client.clone();
        async move {
            let options = named(&format!("asked-{number}"))?;
            // As often as the host says that it may be asked again: the same id is the same run.
            let ask = async || match client.start("hungry", &1, &options).await {
                Err(error) if error.is_retryable() => None,
                asked => Some(asked),
            };
            wait_until("the run is started", DEADLINE * 3, ask).await?;
            Ok(())
        }
    });
    let ended = async {
        let mut ended = HashSet::new();
        while ended.len() < 2 * EACH {
            let result = tokio::time::timeout(DEADLINE, results.next()).await;
            let result = result.with_context(|| format!("only {} ended", ended.len()))?;
            let result: Value = serde_json::from_slice(&result.context("the connection is open")?.payload)?;
            anyhow::ensure!(result["status"] == "completed", "{result}");
            let id = result["run_id"].as_str().context("a result names its run")?.to_owned();
            // Told again where a host could not know whether it was heard; the stream keeps one for each.
            ended.insert(id);
            most = most.max(memory()?);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(left, asked, ended)?;
    println!("a host of {} MiB took up {} MiB at most", before >> 20, most >> 20);
    // Who listens hears of a result before it is stored: all of them, and the one before.
    let stream = async_nats::jetstream::new(plain).get_stream(format!("JETWAY_{ns}_DONE")).await?;
    wait_until("all results are stored", DEADLINE, async || {
        stream.get_info().await.is_ok_and(|info| info.state.messages == 2 * EACH as u64 + 1)
    })
    .await;
    assert!(most < before + ROOM, "{before} bytes before, {most} at most");
    goes_on(&client, "after").await
}
