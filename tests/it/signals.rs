//! Signals, sent with the command and by any client, to the workflow `order`.

use crate::support::{DEADLINE, HostProcess, jetway, jetway_json};
use anyhow::{Context as _, Result};
use async_nats::{HeaderMap, jetstream};
use jetway_testing::{shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::process::Output;

const ORDER: &str = r#"{"id": "o1", "cents": 1200, "wait": "1 hour"}"#;
const YES: &str = r#"{"yes": true}"#;

/// A namespace with a host.
struct Fixture {
    url: String,
    ns: String,
    _host: HostProcess,
}

impl Fixture {
    async fn new(label: &str) -> Result<Self> {
        let (url, ns) = (shared_server().await.url(), unique_namespace(label));
        let host = HostProcess::start(&url, &ns, &[]).await?;
        Ok(Self { url, ns, _host: host })
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value> {
        jetway_json(&self.url, &self.ns, arguments).await
    }

    async fn outcome(&self, run: &str) -> Result<Value> {
        let done = self.json(&["result", "order", run, "--wait", "2m"]).await?;
        assert_eq!(done["status"], "completed", "{done:#}");
        Ok(done["output"]["outcome"].clone())
    }

    /// The exit code of a signal that is refused, and what the command says.
    async fn refused(&self, run: &str, name: &str, payload: &str) -> Result<(i32, String)> {
        let arguments = ["signal", "order", run, name, payload, "--nats", &self.url, "--namespace", &self.ns];
        let Output { status, stderr, .. } = jetway(&arguments).output().await?;
        Ok((status.code().context("an exit code")?, String::from_utf8(stderr)?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w43_the_command_says_what_became_of_a_signal() -> Result<()> {
    let fixture = Fixture::new("signal").await?;
    fixture.json(&["start", "order", "--input", ORDER, "--id", "o1"]).await?;
    for (run, name, payload, code, sentence) in [
        ("none", "approval", YES, 4, "not_found"),
        ("o1", "approve", YES, 1, "unknown_signal"),
        ("o1", "approval", r#"{"yes": "perhaps"}"#, 1, "bad_payload"),
    ] {
        let (found, said) = fixture.refused(run, name, payload).await?;
        assert!(found == code && said.contains(sentence), "{found} {said}");
    }
    let approve = ["signal", "order", "o1", "approval", YES, "--id", "approval-1"];
    let answer = fixture.json(&approve).await?;
    assert_eq!((&answer["run_id"], &answer["name"]), (&json!("o1"), &json!("approval")));
    let verdict = answer["verdict"].as_str().context("a verdict")?;
    // Its first step may not have begun to wait.
    assert!(answer["applied"] == true && ["taken", "kept"].contains(&verdict), "{answer:#}");
    assert_eq!(fixture.outcome("o1").await?, "shipped");
    let (code, said) = fixture.refused("o1", "approval", YES).await?;
    assert!(code == 1 && said.contains("run_ended"), "{code} {said}");
    Ok(())
}

/// The signal waits for its run.
#[tokio::test(flavor = "multi_thread")]
async fn w38_a_signal_that_comes_before_its_run_is_delivered() -> Result<()> {
    let fixture = Fixture::new("early").await?;
    let stored = fixture.json(&["signal", "order", "o1", "approval", YES, "--no-wait"]).await?;
    assert_eq!(stored["applied"], false, "{stored:#}");
    let done = fixture.json(&["start", "order", "--input", ORDER, "--id", "o1", "--wait", "2m"]).await?;
    assert_eq!(done["output"]["outcome"], "shipped", "{done:#}");
    let doctor = fixture.json(&["doctor"]).await?.to_string();
    assert!(!doctor.contains("for runs that do not exist yet"), "{doctor}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w44_a_signal_starts_its_run() -> Result<()> {
    let fixture = Fixture::new("starts").await?;
    let send = ["signal", "order", "o1", "approval", YES, "--id", "approval-1", "--start-with", ORDER];
    let answer = fixture.json(&send).await?;
    assert_eq!((&answer["started"], &answer["verdict"]), (&json!(true), &json!("kept")), "{answer:#}");
    let again = fixture.json(&send).await?;
    assert_eq!((&again["started"], &again["verdict"]), (&Value::Null, &json!("duplicate")), "{again:#}");
    assert_eq!(fixture.outcome("o1").await?, "shipped");
    // With a start time, nothing starts early.
    let later = [
        "signal",
        "order",
        "o2",
        "approval",
        YES,
        "--start-with",
        ORDER,
        "--start-at",
        "2090-01-01T00:00:00Z",
        "--deadline",
        "10m",
    ];
    assert_eq!(fixture.json(&later).await?["started"], true);
    let status = fixture.json(&["status", "order", "o2"]).await?;
    assert_eq!((&status["steps"], &status["mailbox"]["signals"]), (&json!(0), &json!(1)), "{status:#}");
    // The time limit counts from the start of the run.
    assert_eq!(status["deadline"], "2090-01-01T00:10:00.000Z", "{status:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w42_any_client_sends_a_signal_twice() -> Result<()> {
    let fixture = Fixture::new("client").await?;
    fixture.json(&["start", "order", "--input", ORDER, "--id", "o1"]).await?;
    let client = async_nats::connect(&fixture.url).await?;
    let subject = format!("jetway.{}.signal.order.o1.approval", fixture.ns);
    let mut headers = HeaderMap::new();
    headers.insert("nats-msg-id", "approval-1");
    let no = r#"{"yes": false}"#;
    for _ in 0..2 {
        client.publish_with_headers(subject.clone(), headers.clone(), no.into()).await?;
    }
    client.flush().await?;
    assert_eq!(fixture.outcome("o1").await?, "refunded");
    // The run has ended, and remembers the signal.
    let jetstream = jetstream::new(client);
    jetstream.publish_with_headers(subject, headers, no.into()).await?.await?;
    let stored = async |stream: &str| {
        let stream = jetstream.get_stream(format!("JETWAY_{}_{stream}", fixture.ns)).await.ok()?;
        Some(stream.cached_info().state.messages)
    };
    wait_until("no signal is left", DEADLINE, async || stored("SIGNAL").await == Some(0)).await;
    assert_eq!(stored("DEAD").await, Some(0), "it is no dead letter");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u12_a_cancelled_order_is_paid_back() -> Result<()> {
    let fixture = Fixture::new("paid-back").await?;
    fixture.json(&["start", "order", "--input", ORDER, "--id", "o1"]).await?;
    wait_until("it waits", DEADLINE, async || {
        let status = fixture.json(&["status", "order", "o1"]).await;
        status.is_ok_and(|status| status["waits"][0]["kind"] == "signal")
    })
    .await;
    fixture.json(&["cancel", "order", "o1"]).await?;
    wait_until("it is paid back", DEADLINE, async || {
        let status = fixture.json(&["status", "order", "o1"]).await;
        status.is_ok_and(|status| {
            (&status["status"], &status["steps"]) == (&json!("cancelled"), &json!(1))
                && status["cancel"]["reason"] == "requested"
        })
    })
    .await;
    Ok(())
}
