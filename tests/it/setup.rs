//! `jetway setup`, with hosts at work.

use crate::support::{DEADLINE, HostProcess, jetway, jetway_json};
use anyhow::Result;
use jetway_testing::{NatsCluster, shared_server, unique_namespace, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

/// Starts before, while and after the replicas change.
const RUNS: usize = 60;

#[tokio::test]
async fn f8_a_start_in_a_namespace_that_is_not_set_up_says_so() -> Result<()> {
    let (url, namespace) = (shared_server().await.url(), unique_namespace("none"));
    let arguments = ["--nats", &url, "--namespace", &namespace];
    for verb in [&["start", "chain", "--input", "0"][..], &["runs"], &["status", "chain", "x"]] {
        let began = Instant::now();
        let output = jetway(verb).args(arguments).output().await?;
        let text = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{verb:?}: {text}");
        assert!(text.contains(&format!("`jetway setup --namespace {namespace}`")), "{verb:?}: {text}");
        // Twenty seconds before.
        assert!(began.elapsed() < Duration::from_secs(15), "{verb:?}: {:?}", began.elapsed());
    }
    let report = jetway_json(&url, &namespace, &["setup"]).await?;
    assert_eq!((report["replicas"].as_u64(), report["changed"].as_array().map(Vec::len)), (Some(1), Some(0)));
    jetway_json(&url, &namespace, &["start", "chain", "--input", "0", "--id", "first"]).await?;
    let _host = HostProcess::start(&url, &namespace, &[]).await?;
    let done =
        jetway_json(&url, &namespace, &["start", "chain", "--input", "0", "--id", "first", "--wait"]).await?;
    assert_eq!(done["output"], 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_more_replicas_lose_no_work() -> Result<()> {
    let cluster = NatsCluster::start(3).await?;
    let (urls, namespace) = (cluster.urls(), unique_namespace("grow"));
    wait_until("the cluster has a leader", DEADLINE, async || {
        jetway_json(&urls, &namespace, &["setup"]).await.ok()
    })
    .await;
    let _hosts = (
        HostProcess::start(&urls, &namespace, &[]).await?,
        HostProcess::start(&urls, &namespace, &[]).await?,
    );
    let jetstream =
        async_nats::jetstream::new(async_nats::connect(urls.split(',').collect::<Vec<_>>()).await?);
    let start = async |number: usize| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jetway-Run-Id", format!("run-{number}").as_str());
        let published = jetstream
            .publish_with_headers(
                format!("jetway.{namespace}.start.chain"),
                headers,
                json!(number).to_string().into(),
            )
            .await;
        // The stream of starts may be electing a leader.
        match published {
            Ok(ack) => ack.await.is_ok(),
            Err(_lost) => false,
        }
    };
    let starting = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for number in 0..RUNS {
            pace.tick().await;
            wait_until("the start is stored", DEADLINE, async || start(number).await).await;
        }
    };
    let (report, ()) = tokio::join!(jetway_json(&urls, &namespace, &["setup", "--replicas", "3"]), starting);
    let report = report?;
    assert_eq!((report["replicas"].as_u64(), report["changed"].as_array().map(Vec::len)), (Some(3), Some(9)));
    for number in 0..RUNS {
        let run = format!("run-{number}");
        let done = wait_until("the run has ended", DEADLINE * 4, async || {
            let status = jetway_json(&urls, &namespace, &["status", "chain", &run]).await.ok()?;
            (status["status"] != "running").then_some(status)
        })
        .await;
        assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(number + 10)), "{run}");
    }
    let again = jetway_json(&urls, &namespace, &["setup"]).await?;
    assert_eq!((again["replicas"].as_u64(), again["unchanged"].as_array().map(Vec::len)), (Some(3), Some(9)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_tickets_of_waiting_runs_are_published_again() -> Result<()> {
    let cluster = NatsCluster::start(3).await?;
    let (urls, namespace) = (cluster.urls(), unique_namespace("wait"));
    wait_until("the cluster has a leader", DEADLINE, async || {
        jetway_json(&urls, &namespace, &["setup"]).await.ok()
    })
    .await;
    let files = tempfile::tempdir()?;
    // So many that the run does not end before its host is killed, also on a slow machine.
    for number in 0..1_000 {
        std::fs::write(files.path().join(format!("{number}.txt")), "one two\n")?;
    }
    let host = HostProcess::reading(files.path(), &urls, &namespace, &[]).await?;
    let input = json!({ "path": files.path(), "top": 5 }).to_string();
    jetway_json(&urls, &namespace, &["start", "corpus", "--input", &input, "--id", "long"]).await?;
    wait_until("the run is in the middle", DEADLINE, async || {
        let status = jetway_json(&urls, &namespace, &["status", "corpus", "long"]).await.ok()?;
        status["steps"].as_u64().filter(|steps| *steps > 2)
    })
    .await;
    host.kill().await?;
    let status = jetway_json(&urls, &namespace, &["status", "corpus", "long"]).await?;
    assert_eq!(status["status"], "running", "the run ended before its host was killed");
    let report = jetway_json(&urls, &namespace, &["setup", "--replicas", "3"]).await?;
    assert!(report["tickets"].as_u64() > Some(0), "{report}");
    let _host = HostProcess::reading(files.path(), &urls, &namespace, &[]).await?;
    let done = wait_until("the run has ended", DEADLINE * 2, async || {
        let status = jetway_json(&urls, &namespace, &["status", "corpus", "long"]).await.ok()?;
        (status["status"] != "running").then_some(status)
    })
    .await;
    assert_eq!(done["status"], "completed", "{done}");
    Ok(())
}
