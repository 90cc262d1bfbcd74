//! Traces in a real Jaeger: each run is one, and nothing in it is wrong.

use crate::support::{
    DEADLINE, HostProcess, Jaeger, JaegerSpan, JaegerTrace, binary, built, faketime, jetway_json,
};
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use futures::StreamExt as _;
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};
use tempfile::TempDir;

/// How wrong the clocks of the hosts are, in seconds, where clocks can be changed.
const SKEWS: [f64; 3] = [-60.0, 0.05, 3600.0];

/// A server, a Jaeger, and hosts with other names and clocks that send it their spans.
struct Fixture {
    server: NatsServer,
    namespace: String,
    jaeger: Jaeger,
}

impl Fixture {
    async fn new() -> Result<Option<Self>> {
        let Some(jaeger) = Jaeger::start().await? else { return Ok(None) };
        // Built before anything waits for what it shows.
        binary();
        Ok(Some(Self { server: NatsServer::start().await?, namespace: unique_namespace("jaeger"), jaeger }))
    }

    async fn host(&self, skew: f64) -> Result<HostProcess> {
        let clock = faketime().await?.map(|library| library.environment(skew));
        let endpoint = self.jaeger.endpoint();
        let mut environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
        environment.extend(clock.iter().flatten().map(|(name, value)| (*name, value.as_str())));
        let program = built("jetway-tests", "clock-host", &[]);
        HostProcess::of(&program, &self.server.url(), &self.namespace, &environment).await
    }

    async fn start(&self, workflow: &str, id: &str, input: &Value) -> Result<()> {
        let js = jetstream::new(async_nats::connect(self.server.url()).await?);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jetway-Run-Id", id);
        let subject = format!("jetway.{}.start.{workflow}", self.namespace);
        js.publish_with_headers(subject, headers, input.to_string().into()).await?.await?;
        Ok(())
    }

    /// The results of so many runs, by their ids.
    async fn results(&self, runs: usize) -> Result<BTreeMap<String, Value>> {
        let js = jetstream::new(async_nats::connect(self.server.url()).await?);
        let done = js.get_stream(format!("JETWAY_{}_DONE", self.namespace)).await?;
        let consumer = done.create_consumer(jetstream::consumer::pull::Config::default()).await?;
        let mut messages = consumer.messages().await?;
        let mut found = BTreeMap::new();
        while found.len() < runs {
            let message = tokio::time::timeout(DEADLINE, messages.next()).await?.context("no more")??;
            let result: Value = serde_json::from_slice(&message.payload)?;
            found.insert(result["run_id"].as_str().context("no run id")?.to_owned(), result);
        }
        Ok(found)
    }

    /// The complete traces of runs that nobody else started, by the id of the run at their root.
    async fn traces(&self, runs: usize) -> BTreeMap<String, JaegerTrace> {
        wait_until("all traces are complete", DEADLINE, async || {
            let traces = self.jaeger.traces("clock-host").await.ok()?;
            let complete = traces.len() >= runs && traces.iter().all(JaegerTrace::is_complete);
            let of_run = |trace: JaegerTrace| {
                let id = trace.roots().first().and_then(|root| root.tags.get("jetway.run_id").cloned());
                (id.unwrap_or_default(), trace)
            };
            complete.then(|| traces.into_iter().map(of_run).collect())
        })
        .await
    }
}

fn children<'a>(trace: &'a JaegerTrace, parent: &'a JaegerSpan) -> Vec<&'a JaegerSpan> {
    trace.spans.iter().filter(|span| span.parent.as_ref() == Some(&parent.id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_jaeger_finds_no_fault_in_any_trace() -> Result<()> {
    let Some(fixture) = Fixture::new().await? else { return Ok(()) };
    let mut hosts = Vec::new();
    for skew in SKEWS {
        hosts.push(fixture.host(skew).await?);
    }
    let mut runs = 0;
    for (workflow, count, input) in [
        ("large", 10, json!("x")),
        ("small", 10, json!(1)),
        ("wide", 10, json!(1)),
        ("family", 5, json!(1)),
        ("retried", 5, json!(2)),
        ("retried", 2, json!(5)),
        ("rescued", 5, json!(1)),
    ] {
        for _ in 0..count {
            runs += 1;
            fixture.start(workflow, &format!("{workflow}-{runs}"), &input).await?;
        }
    }
    // Each run of `family` has eight children.
    fixture.results(runs + 5 * 8).await?;
    let traces = fixture.traces(runs).await;
    assert_eq!(traces.len(), runs, "one trace for each run, with its children");
    let mut instances = std::collections::BTreeSet::new();
    for (id, trace) in &traces {
        assert_eq!(trace.faults(), Vec::<String>::new(), "{id}: {trace:#?}");
        instances.extend(trace.processes.iter().map(|process| process["service.instance.id"].clone()));
        for process in &trace.processes {
            assert!(process.contains_key("host.name"), "{process:?}");
        }
    }
    assert!(instances.len() > 1, "one host executed everything: {instances:?}");
    let facts = jetway_json(&fixture.server.url(), &fixture.namespace, &["doctor"]).await?.to_string();
    for instance in &instances {
        assert!(facts.contains(instance), "doctor does not show {instance}: {facts}");
    }
    check_children(&traces)?;
    check_tries(&traces)
}

/// A child run is below the run that waits for it, and linked with the steps that ask for it and take its result.
fn check_children(traces: &BTreeMap<String, JaegerTrace>) -> Result<()> {
    for (id, trace) in traces.iter().filter(|(id, _)| id.starts_with("family-")) {
        let root = trace.roots()[0];
        let runs: Vec<_> =
            children(trace, root).into_iter().filter(|span| span.name == "run small").collect();
        ensure!(runs.len() == 8, "{id} has {} children", runs.len());
        ensure!(runs.iter().all(|run| run.links == 1), "{id}: a child has no link to its step");
        let taken = trace.named("step child").filter(|step| step.tags["jetway.outcome"] == "next");
        ensure!(taken.filter(|step| step.links == 2).count() == 8, "{id}: a step has no link to its child");
    }
    Ok(())
}

/// Each attempt at a node with retries is a step of its own in the trace, and a failed one says so.
fn check_tries(traces: &BTreeMap<String, JaegerTrace>) -> Result<()> {
    for (id, trace) in traces.iter().filter(|(id, _)| id.starts_with("retried-")) {
        let mut tries: Vec<_> = trace.named("step flaky").collect();
        tries.sort_by_key(|span| span.start);
        let numbers: Vec<_> = tries.iter().map(|span| span.tags["jetway.attempt"].as_str()).collect();
        ensure!(numbers == ["1", "2", "3"], "{id}: {numbers:?}");
        let failed =
            tries.iter().filter(|span| span.tags.get("otel.status_code").is_some_and(|it| it == "ERROR"));
        let root = trace.roots()[0];
        let expected = if root.tags["jetway.status"] == "failed" { 3 } else { 2 };
        ensure!(failed.count() == expected, "{id}: {tries:#?}");
    }
    for (id, trace) in traces.iter().filter(|(id, _)| id.starts_with("rescued-")) {
        let handled = trace.named("step flaky").next().context("no step")?;
        let status = (handled.tags["otel.status_code"].as_str(), handled.tags["jetway.outcome"].as_str());
        ensure!(status == ("ERROR", "handled"), "{id}: {handled:#?}");
        ensure!(
            handled.tags["otel.status_description"].contains("the service is down"),
            "{id}: {handled:#?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_jaeger_finds_no_fault_after_a_killed_host() -> Result<()> {
    let Some(fixture) = Fixture::new().await? else { return Ok(()) };
    let gates = TempDir::new()?;
    let gate = gates.path().join("open");
    let doomed = fixture.host(SKEWS[2]).await?;
    for number in 0..4 {
        fixture.start("gated", &format!("gated-{number}"), &json!({ "open": gate })).await?;
    }
    let js = jetstream::new(async_nats::connect(fixture.server.url()).await?);
    let consumer = async || {
        let stream = js.get_stream(format!("JETWAY_{}_WORK", fixture.namespace)).await.ok()?;
        let mut consumers = stream.consumers();
        let mut pending = 0;
        while let Some(consumer) = consumers.next().await {
            pending += consumer.ok()?.num_ack_pending;
        }
        (pending == 4).then_some(())
    };
    wait_until("the host is at work", DEADLINE, consumer).await;
    doomed.kill().await?;
    let _heirs = (fixture.host(SKEWS[0]).await?, fixture.host(SKEWS[1]).await?);
    fs::write(&gate, "")?;
    fixture.results(4).await?;
    let traces = fixture.traces(4).await;
    for (id, trace) in &traces {
        assert_eq!(trace.faults(), Vec::<String>::new(), "{id}");
        let attempts: Vec<_> =
            trace.named("step ").map(|step| step.tags["jetway.attempt"].as_str()).collect();
        assert_eq!(attempts, ["2"], "{id}: the killed host told nothing, and its attempt counts");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_cancelled_run_covers_the_run_that_it_waits_for() -> Result<()> {
    let Some(fixture) = Fixture::new().await? else { return Ok(()) };
    let _hosts = (fixture.host(SKEWS[0]).await?, fixture.host(SKEWS[1]).await?);
    let gates = TempDir::new()?;
    fixture.start("waiting", "waiting-1", &json!({ "open": gates.path().join("never") })).await?;
    let (url, ns) = (fixture.server.url(), fixture.namespace.clone());
    wait_until("the child runs", DEADLINE, async || {
        let runs = jetway_json(&url, &ns, &["runs"]).await.ok()?;
        (runs["runs"].as_array()?.len() == 2).then_some(())
    })
    .await;
    jetway_json(&url, &ns, &["cancel", "waiting", "waiting-1"]).await?;
    fixture.results(2).await?;
    let traces = fixture.traces(1).await;
    let trace = &traces["waiting-1"];
    assert_eq!(trace.faults(), Vec::<String>::new(), "{trace:#?}");
    assert_eq!(trace.named("run ").filter(|run| run.tags["jetway.status"] == "cancelled").count(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_jaeger_takes_traces_over_http() -> Result<()> {
    let Some(fixture) = Fixture::new().await? else { return Ok(()) };
    let endpoint = fixture.jaeger.http_endpoint();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9.9"),
    ];
    let program = built("jetway-tests", "clock-host", &[]);
    let _host = HostProcess::of(&program, &fixture.server.url(), &fixture.namespace, &environment).await?;
    fixture.start("small", "small-1", &json!(1)).await?;
    let traces = fixture.traces(1).await;
    assert_eq!(traces["small-1"].faults(), Vec::<String>::new());
    let process = &traces["small-1"].processes[0];
    assert_eq!(
        (process["deployment.environment.name"].as_str(), process["service.version"].as_str()),
        ("test", "9.9")
    );
    Ok(())
}
