//! Hosts that are restarted again and again, as by deployments, while a step waits for a person.

use crate::support::{DEADLINE, HostProcess, built, jetway_json};
use anyhow::{Context, Result};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tokio::process::Command;

/// More than the attempts that an item has by default.
const RESTARTS: usize = 40;

/// The attempts at the first step: their numbers.
fn attempts(dir: &Path) -> Vec<u32> {
    let log = fs::read_to_string(dir.join("attempts")).unwrap_or_default();
    let first = log.lines().filter(|line| line.starts_with("first "));
    first.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
}

async fn terminate(host: HostProcess) -> Result<()> {
    let pid = host.pid().context("it runs")?.to_string();
    anyhow::ensure!(Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "it is gone");
    let ended = host.wait().await?;
    anyhow::ensure!(ended.success(), "a host that was asked to stop ended with {ended}");
    Ok(())
}

/// The output of the run, whose gates are open.
async fn output(url: &str, ns: &str) -> Value {
    wait_until("the run has ended", DEADLINE, async || {
        let result = jetway_json(url, ns, &["result", "gated", "r"]).await.ok()?;
        (result["status"] == "completed").then(|| result["output"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn u2_a_step_survives_forty_restarts_of_its_host() -> Result<()> {
    let server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("restarts"));
    let dir = tempfile::tempdir()?;
    let program = built("jetway-tests", "crash-host", &["fail-points"]);
    let mut host = HostProcess::of(&program, &url, &ns, &[]).await?;
    let input = json!({ "dir": dir.path(), "number": 1 }).to_string();
    jetway_json(&url, &ns, &["start", "gated", "--id", "r", "--input", &input]).await?;
    for restart in 0..RESTARTS {
        wait_until("the step runs again", DEADLINE, async || attempts(dir.path()).len() > restart).await;
        terminate(host).await?;
        host = HostProcess::of(&program, &url, &ns, &[]).await?;
    }
    assert!(attempts(dir.path()).iter().all(|attempt| *attempt == 1), "{:?}", attempts(dir.path()));
    // A crash is an attempt.
    wait_until("the step runs again", DEADLINE, async || attempts(dir.path()).len() > RESTARTS).await;
    host.kill().await?;
    let _heir = HostProcess::of(&program, &url, &ns, &[]).await?;
    wait_until("the step runs again", DEADLINE, async || attempts(dir.path()).len() > RESTARTS + 1).await;
    assert_eq!(attempts(dir.path()).last(), Some(&2));
    for gate in ["first", "second", "third"] {
        fs::write(dir.path().join(gate), "")?;
    }
    assert_eq!(output(&url, &ns).await["number"], 4);
    Ok(())
}
