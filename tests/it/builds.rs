//! A deployment that cannot read what the earlier build wrote.

use crate::support::{DEADLINE, HostProcess, built, jetway, jetway_json};
use anyhow::Result;
use async_nats::jetstream;
use jetway_testing::{shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A host of a build.
async fn host(program: &Path, url: &str, ns: &str, build: &str) -> Result<HostProcess> {
    HostProcess::of(program, url, ns, &[("BUILD", build)]).await
}

/// The table that a verb prints.
async fn text(url: &str, ns: &str, verb: &[&str]) -> Result<String> {
    let output = jetway(verb).args(["--nats", url, "--namespace", ns]).output().await?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

async fn letters(url: &str, ns: &str) -> Result<u64> {
    let js = jetstream::new(async_nats::connect(url).await?);
    let mut stream = js.get_stream(format!("JETWAY_{ns}_DEAD")).await?;
    Ok(stream.info().await?.state.messages)
}

/// The findings of doctor about runs that wait.
async fn findings(url: &str, ns: &str) -> Result<Vec<Value>> {
    let doctor = jetway_json(url, ns, &["doctor"]).await?;
    let checks = doctor["checks"].as_array().cloned().unwrap_or_default();
    Ok(checks.into_iter().filter(|check| check["name"] == "waiting runs").collect())
}

/// A run whose second step waits at its gate, in a host that is killed.
async fn half_done(program: &Path, url: &str, ns: &str, gate: &Path) -> Result<()> {
    let old = host(program, url, ns, "old").await?;
    let input = json!({ "gate": gate }).to_string();
    jetway_json(url, ns, &["start", "shop", "--id", "r", "--input", &input]).await?;
    wait_until("the second step runs", DEADLINE, async || {
        let status = jetway_json(url, ns, &["status", "shop", "r"]).await.ok()?;
        (status["steps"] == 1).then_some(())
    })
    .await;
    old.kill().await
}

#[tokio::test(flavor = "multi_thread")]
async fn u7_a_run_waits_visibly_for_its_build() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("builds"));
    let (program, dir) = (built("jetway-tests", "build-host", &[]), tempfile::tempdir()?);
    let gate = dir.path().join("gate");
    half_done(&program, &url, &ns, &gate).await?;
    let new = host(&program, &url, &ns, "new").await?;
    let status = wait_until("the status says so", DEADLINE, async || {
        let status = jetway_json(&url, &ns, &["status", "shop", "r"]).await.ok()?;
        status["waiting_for_build"].is_array().then_some(status)
    })
    .await;
    let waits = &status["waiting_for_build"][0];
    assert_eq!(
        (&waits["node"], &waits["part"], &waits["items"]),
        (&json!("charge"), &json!("input"), &json!(1))
    );
    assert!(waits["expected"].as_str().is_some_and(|expected| expected.ends_with("PricedOrder")), "{waits}");
    assert!(waits["host"].as_str().is_some_and(|host| host.starts_with("new-")), "{waits}");
    assert!(waits["reason"].as_str().is_some_and(|reason| reason.contains("currency")), "{waits}");
    // The reason comes first.
    let table = text(&url, &ns, &["status", "shop", "r", "--full"]).await?;
    let first = table.lines().nth(1).unwrap_or_default();
    assert!(first.starts_with("waiting for  a host of another build"), "{table}");
    let (by, written_by) = (waits["unreadable_by"].as_str(), waits["written_by"].as_str());
    for build in [by, written_by].map(|build| build.expect("a build")) {
        assert!(table.contains(build), "{table}");
    }
    let runs = jetway_json(&url, &ns, &["runs"]).await?;
    assert_eq!(&runs["runs"][0]["waiting_for_build"][0], waits);
    assert!(text(&url, &ns, &["runs"]).await?.contains("1 of these runs wait"));
    let found = findings(&url, &ns).await?;
    assert_eq!((found.len(), &found[0]["status"]), (1, &json!("warning")), "{found:?}");
    let details = found[0]["details"].as_str().unwrap_or_default();
    assert!(
        details.starts_with("1 run of workflow shop waits for a host") && details.contains("charge"),
        "{details}"
    );
    // Another host of this build finds nothing new to say.
    let other = host(&program, &url, &ns, "new").await?;
    let done = json!({ "gate": gate }).to_string();
    for id in ["a", "b", "c"] {
        let done = jetway_json(&url, &ns, &["start", "shop", "--id", id, "--input", &done, "--wait"]).await?;
        assert_eq!(done["output"], "EUR");
    }
    let said = |host: &HostProcess| host.log_lines("ERROR");
    assert_eq!((said(&new).len(), said(&other).len()), (1, 0), "{:?} {:?}", said(&new), said(&other));
    let line = said(&new).remove(0);
    assert!(line.contains("charge") && line.contains("PricedOrder") && !line.contains("currency"), "{line}");
    assert_eq!(letters(&url, &ns).await?, 1);
    // A host of the build that wrote it ends the run.
    fs::write(&gate, "")?;
    drop((new, other));
    let _old = host(&program, &url, &ns, "old").await?;
    let result = wait_until("the run has ended", DEADLINE, async || {
        let result = jetway_json(&url, &ns, &["result", "shop", "r"]).await.ok()?;
        (result["status"] == "completed").then_some(result)
    })
    .await;
    assert_eq!(result["output"], "charged");
    assert_eq!((findings(&url, &ns).await?.len(), letters(&url, &ns).await?), (0, 1));
    Ok(())
}
