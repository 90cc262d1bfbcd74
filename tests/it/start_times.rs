//! Runs that the command starts later.

use crate::support::{DEADLINE, HostProcess, jetway, jetway_json};
use anyhow::{Context as _, Result};
use jetway::Timestamp;
use jetway_testing::{shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

fn time(json: &Value) -> Result<Timestamp> {
    json.as_str().and_then(Timestamp::parse).with_context(|| format!("{json} is no time"))
}

#[tokio::test]
async fn w44_a_run_starts_when_the_command_says() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("later"));
    let server = ["--nats", &url, "--namespace", &ns];
    jetway(&[&["setup"][..], &server].concat()).output().await?;
    // No host is there yet: the start message keeps the time.
    let far = ["start", "chain", "--input", "0", "--id", "far", "--at", "2100-01-31T08:00:00+01:00"];
    assert!(jetway(&[&far[..], &server].concat()).output().await?.status.success());
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let soon = ["start", "chain", "--input", "0", "--id", "soon"];
    jetway_json(&url, &ns, &[&soon[..], &["--in", "4s"]].concat()).await?;
    // The same start without a time joins the run, which keeps its time.
    let done = jetway_json(&url, &ns, &[&soon[..], &["--wait", "1m"]].concat()).await?;
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(10)), "{done:#}");
    let took = time(&done["finished_at"])?.since(time(&done["started_at"])?);
    assert!(took >= Duration::from_millis(3_900), "it waited for {took:?} only: {done:#}");
    wait_until("the far run exists", DEADLINE, async || {
        jetway(&[&["status", "chain", "far"][..], &server].concat())
            .output()
            .await
            .is_ok_and(|ended| ended.status.success())
    })
    .await;
    let status = jetway_json(&url, &ns, &["status", "chain", "far"]).await?;
    let due = "2100-01-31T07:00:00.000Z";
    assert_eq!(
        (&status["status"], &status["pending"][0]["due"]),
        (&json!("running"), &json!(due)),
        "{status:#}"
    );
    let shown = jetway(&[&["status", "chain", "far"][..], &server].concat()).output().await?;
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains(&format!("the time of its start, {due}")), "{shown}");
    assert_eq!(jetway_json(&url, &ns, &["cancel", "chain", "far"]).await?["status"], "cancelled");
    Ok(())
}

#[tokio::test]
async fn w44_the_command_refuses_bad_times() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("badtime"));
    let server = ["--nats", &url, "--namespace", &ns];
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    for (arguments, code, sentence) in [
        (["--in", "40000d"], 1, "100 years"),
        (["--at", "9999-12-31T23:59:59Z"], 1, "100 years"),
        (["--at", "2030-01-31T08:00:00"], 2, "with its offset"),
        (["--in", "soon"], 2, "invalid duration"),
        (["--deadline", "40000d"], 1, "100 years"),
        (["--deadline", "never"], 2, "invalid duration"),
    ] {
        let start = [&["start", "chain", "--input", "0", "--id", "bad"], &arguments[..], &server].concat();
        let ended = jetway(&start).output().await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(code) && said.contains(sentence), "{arguments:?}: {ended:?}");
        let status = jetway(&[&["status", "chain", "bad"][..], &server].concat()).output().await?;
        assert_eq!(status.status.code(), Some(4), "{arguments:?}: the run exists");
    }
    Ok(())
}

#[tokio::test]
async fn w52_a_run_that_the_command_starts_ends_at_its_deadline() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("deadline"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let nap =
        ["start", "nap", "--input", r#"{"for": "1h"}"#, "--id", "n1", "--deadline", "2s", "--wait", "1m"];
    let ended =
        jetway(&[&nap[..], &["--json", "--nats", &url, "--namespace", &ns]].concat()).output().await?;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let done: Value = serde_json::from_slice(&ended.stdout)?;
    assert_eq!((&done["status"], &done["error"]["kind"]), (&json!("failed"), &json!("deadline")), "{done:#}");
    let took = time(&done["finished_at"])?.since(time(&done["started_at"])?);
    assert!(took >= Duration::from_secs(2), "it failed after {took:?}: {done:#}");
    Ok(())
}
