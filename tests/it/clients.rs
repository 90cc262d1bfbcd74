//! Clients that know the wire and nothing else.

use crate::support::{Collector, DEADLINE, HostProcess, attributes, jetway};
use anyhow::{Context, Result, ensure};
use async_nats::{Client, HeaderMap, jetstream};
use futures::StreamExt;
use jetway_testing::{python_with, shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// `jetway dev` and a Python program that has read section "Any NATS client" of the README.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_program_starts_a_run_and_gets_its_result() -> Result<()> {
    let collector = Collector::start().await?;
    let mut dev = jetway(&["dev", "--json"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(dev.stdout.take().context("its output is piped")?).lines();
    let mut said = String::new();
    while !said.ends_with("}\n") {
        let line =
            tokio::time::timeout(DEADLINE * 2, lines.next_line()).await??.context("dev says where it is")?;
        said.push_str(&format!("{line}\n"));
    }
    let dev_says: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let url = dev_says["nats"].as_str().with_context(|| format!("no address in {dev_says}"))?;
    let python = python_with(&["nats-py"]).await?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/start.py");
    let said = Command::new(python).arg(program).arg(url).output().await?;
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    ensure!(said.status.success(), "{out}\n{err}");
    let found: Value = serde_json::from_str(&out)?;
    assert_eq!((&found["done"]["status"], &found["done"]["output"]), (&json!("completed"), &json!(10)));
    assert_eq!(found["asked"]["output"], 15);
    assert_eq!(found["refused"]["code"], "400");
    let id = found["done"]["run_id"].as_str().context("a run id")?;
    let trace = found["trace_id"].as_str().context("a trace id")?;
    let spans = wait_until("the run's spans have come", DEADLINE, async || {
        let spans = collector.of_run(id);
        (spans.len() == 11).then_some(spans)
    })
    .await;
    for span in spans {
        let hex: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, trace, "{:?}", attributes(&span));
    }
    dev.kill().await?;
    Ok(())
}

struct Foreign {
    client: Client,
    ns: String,
    _host: HostProcess,
}

impl Foreign {
    async fn start(label: &str) -> Result<Self> {
        let (url, ns) = (shared_server().await.url(), unique_namespace(label));
        let _host = HostProcess::start(&url, &ns, &[]).await?;
        Ok(Self { client: async_nats::connect(&url).await?, ns, _host })
    }

    async fn publish(&self, workflow: &str, headers: &[(&str, &str)], payload: &'static [u8]) -> Result<()> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let js = jetstream::new(self.client.clone());
        let subject = format!("jetway.{}.start.{workflow}", self.ns);
        js.publish_with_headers(subject, map, payload.into()).await?.await?;
        Ok(())
    }

    /// The dead letters so far: reason, headers and bytes.
    async fn dead(&self) -> Result<Vec<async_nats::Message>> {
        let js = jetstream::new(self.client.clone());
        let stream = js.get_stream(format!("JETWAY_{}_DEAD", self.ns)).await?;
        let count = stream.get_info().await?.state.messages;
        let consumer = stream
            .create_consumer(jetstream::consumer::pull::Config {
                ack_policy: jetstream::consumer::AckPolicy::None,
                ..Default::default()
            })
            .await?;
        let mut messages = consumer.messages().await?.take(usize::try_from(count)?);
        let mut dead = Vec::new();
        while let Some(message) = messages.next().await {
            dead.push(message?.message);
        }
        Ok(dead)
    }

    async fn ask(&self, subject: &str, payload: &'static [u8]) -> Result<(Option<String>, Value)> {
        let reply = self.client.request(format!("jetway.{}.api.{subject}", self.ns), payload.into()).await?;
        let header = |name: &str| {
            reply.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string)
        };
        let body = if reply.payload.is_empty() {
            json!(header("Nats-Service-Error"))
        } else {
            serde_json::from_slice(&reply.payload)?
        };
        Ok((header("Nats-Service-Error-Code"), body))
    }
}

/// Promise 7: a start that cannot be one is kept with its reason, its headers and its bytes, and nothing else happens.
#[tokio::test(flavor = "multi_thread")]
async fn p7_bad_start_messages_go_to_the_dead_letters() -> Result<()> {
    let foreign = Foreign::start("dead").await?;
    foreign.publish("chain", &[("Jetway-Run-Id", "a"), ("X-Mine", "kept")], b"{not json").await?;
    foreign.publish("chain", &[("Jetway-Run-Id", "b")], b"\"a text\"").await?;
    foreign.publish("chain", &[("Jetway-Run-Id", "not a name")], b"1").await?;
    foreign.publish("chain", &[("Jetway-Run-Id", "good")], b"1").await?;
    foreign.publish("chain", &[("Jetway-Run-Id", "good")], b"2").await?;
    let dead = wait_until("four dead letters have come", DEADLINE, async || {
        foreign.dead().await.ok().filter(|dead| dead.len() == 4)
    })
    .await;
    let mut why: Vec<_> =
        dead.iter().map(|letter| letter.subject.rsplit('.').next().unwrap_or_default().to_owned()).collect();
    why.sort();
    assert_eq!(why, ["bad-input", "bad-input", "bad-run-id", "other-input"]);
    let first = dead.iter().find(|letter| letter.payload == "{not json").context("the bytes are kept")?;
    let headers = first.headers.as_ref().context("the headers are kept")?;
    assert_eq!(headers.get("X-Mine").map(ToString::to_string).as_deref(), Some("kept"));
    let reason = headers.get("Jetway-Reason").map(ToString::to_string).context("the reason is said")?;
    assert!(reason.contains("chain") && reason.contains("input"), "{reason}");
    let (_, runs) = foreign.ask("runs", b"{}").await?;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_gets_an_error_and_touches_nothing() -> Result<()> {
    let foreign = Foreign::start("bad").await?;
    for (subject, payload, code, word) in [
        ("start.chain", &b"{not json"[..], "400", "input"),
        ("start.chain", b"\"a text\"", "400", "input"),
        ("start.nobody", b"1", "404", "nobody"),
        ("status.chain.nobody", b"", "404", "nobody"),
        ("runs", b"{\"limit\": \"x\"}", "400", "runs"),
    ] {
        let (found, body) = foreign.ask(subject, payload).await.with_context(|| subject.to_owned())?;
        assert_eq!(found.as_deref(), Some(code), "{subject}: {body}");
        assert!(body.to_string().contains(word), "{subject}: {body}");
    }
    let (none, started) = foreign.ask("start.chain", b"1").await?;
    assert_eq!(none, None, "{started}");
    let (_, runs) = foreign.ask("runs", b"").await?;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs:#}");
    let (_, workflows) = foreign.ask("workflows", b"").await?;
    assert!(workflows.to_string().contains("corpus"), "{workflows:#}");
    assert!(foreign.dead().await?.is_empty());
    Ok(())
}
