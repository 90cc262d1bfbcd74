//! One trace for each run, and the right one.

use crate::support::{Collector, DEADLINE, HostProcess, attributes, built, corpus::directory};
use anyhow::{Context, Result};
use futures::StreamExt;
use jetway_testing::{NatsServer, shared_server, unique_namespace, wait_until};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};
use tempfile::TempDir;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Publishes a start message with a `traceparent` and waits for the result.
async fn run(
    url: &str,
    ns: &str,
    workflow: &str,
    id: &str,
    input: &Value,
    parent: Option<&str>,
) -> Result<Value> {
    let client = async_nats::connect(url).await?;
    let mut done = client.subscribe(format!("jetway.{ns}.done.{workflow}.{id}")).await?;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Jetway-Run-Id", id);
    if let Some(parent) = parent {
        headers.insert("traceparent", parent);
    }
    let js = async_nats::jetstream::new(client);
    js.publish_with_headers(format!("jetway.{ns}.start.{workflow}"), headers, input.to_string().into())
        .await?
        .await?;
    let message = tokio::time::timeout(DEADLINE, done.next()).await?.context("the connection ended")?;
    Ok(serde_json::from_slice(&message.payload)?)
}

/// Waits for so many step spans and the run's own.
async fn spans(collector: &Collector, id: &str, steps: usize) -> (Span, Vec<Span>) {
    wait_until("the spans of the run have come", DEADLINE, async || {
        let spans = collector.of_run(id);
        let (mut roots, others): (Vec<_>, Vec<_>) =
            spans.into_iter().partition(|span| span.name.starts_with("run "));
        (others.len() >= steps && roots.len() == 1).then(|| (roots.remove(0), others))
    })
    .await
}

/// One trace, its root, and every step below the root.
fn check_tree(root: &Span, steps: &[Span]) {
    let traces: BTreeSet<_> = steps.iter().chain([root]).map(|span| span.trace_id.clone()).collect();
    assert_eq!(traces.len(), 1, "the run is in several traces");
    let ids: BTreeSet<_> = steps.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), steps.len(), "spans share an id");
    for step in steps {
        assert!(step.name.starts_with("step "), "{}", step.name);
        assert_eq!(step.parent_span_id, root.span_id, "{} is not below the run", step.name);
        assert!(step.start_time_unix_nano <= step.end_time_unix_nano);
        assert!(step.start_time_unix_nano >= root.start_time_unix_nano, "{} began before its run", step.name);
        assert!(step.end_time_unix_nano <= root.end_time_unix_nano, "{} ended after its run", step.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_trace_below_its_caller() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("traces"));
    let collector = Collector::start().await?;
    let _host =
        HostProcess::start(&url, &ns, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]).await?;
    let done = run(&url, &ns, "chain", "traced", &json!(0), Some(CALLER)).await?;
    assert_eq!(done["output"], 10);
    let (root, steps) = spans(&collector, "traced", 10).await;
    check_tree(&root, &steps);
    assert_eq!((steps.len(), root.name.as_str()), (10, "run chain"));
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&root.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&root.parent_span_id), "b7ad6b7169203331");
    let nodes: BTreeSet<_> = steps.iter().map(|step| attributes(step)["jetway.node"].clone()).collect();
    assert_eq!(nodes.len(), 10);
    for step in &steps {
        let attributes = attributes(step);
        assert_eq!(
            (attributes["jetway.workflow"].as_str(), attributes["jetway.attempt"].as_str()),
            ("chain", "1")
        );
        assert_eq!(
            (attributes["jetway.outcome"].as_str(), attributes["messaging.system"].as_str()),
            ("next", "nats")
        );
        assert!(attributes.contains_key("jetway.item_id"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_caller_is_a_trace_of_its_own() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("traces"));
    let collector = Collector::start().await?;
    let _host =
        HostProcess::start(&url, &ns, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]).await?;
    run(&url, &ns, "chain", "alone", &json!(0), None).await?;
    run(&url, &ns, "chain", "other", &json!(0), None).await?;
    let (root, steps) = spans(&collector, "alone", 10).await;
    let (other, _) = spans(&collector, "other", 10).await;
    check_tree(&root, &steps);
    assert!(root.parent_span_id.is_empty());
    assert_ne!(root.trace_id, other.trace_id);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_child_run_is_below_its_parent_and_linked() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("traces"));
    let collector = Collector::start().await?;
    let program = built("jetway-tests", "crash-host", &["fail-points"]);
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let _host = HostProcess::of(&program, &url, &ns, &environment).await?;
    let directory = TempDir::new()?;
    for gate in ["first", "second", "third"] {
        fs::write(directory.path().join(gate), "")?;
    }
    let input = json!({ "dir": directory.path(), "number": 2 });
    let done = run(&url, &ns, "family", "parent", &input, Some(CALLER)).await?;
    assert_eq!(done["status"], "completed", "{done}");
    let (root, steps) = spans(&collector, "parent", 6).await;
    check_tree(&root, &steps);
    let waits: Vec<_> = steps.iter().filter(|step| attributes(step)["jetway.outcome"] == "awaits").collect();
    assert_eq!(waits.len(), 2, "two steps ask for a child");
    let below = collector.runs_below(&root);
    assert_eq!(below.len(), 2, "{below:?}");
    for child in below {
        let (child, steps) = spans(&collector, &child, 3).await;
        check_tree(&child, &steps);
        assert_eq!((child.name.as_str(), steps.len()), ("run gated", 3));
        assert_eq!((&child.trace_id, &child.parent_span_id), (&root.trace_id, &root.span_id));
        assert!(child.start_time_unix_nano >= root.start_time_unix_nano, "it began before its parent");
        assert!(child.end_time_unix_nano <= root.end_time_unix_nano, "it ended after its parent");
        let links: Vec<_> = child.links.iter().map(|link| &link.span_id).collect();
        assert!(
            waits.iter().any(|wait| links == [&wait.span_id]),
            "it is not linked with the step that asked for it"
        );
        let taken = steps_linked_with(&collector, "parent", &child);
        assert_eq!(taken, ["step child"], "the step that takes its result is linked with it");
    }
    Ok(())
}

fn steps_linked_with(collector: &Collector, run_id: &str, span: &Span) -> Vec<String> {
    let mut steps = collector.of_run(run_id);
    steps.retain(|step| step.links.iter().any(|link| link.span_id == span.span_id));
    steps.into_iter().map(|step| step.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_a_run_is_one_trace_although_its_host_was_killed() -> Result<()> {
    let server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("traces"));
    let collector = Collector::start().await?;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let (_kept, root) = directory(1500)?;
    let doomed = HostProcess::start(&url, &ns, &environment).await?;
    let started = tokio::spawn({
        let (url, ns) = (url.clone(), ns.clone());
        let input = json!({ "path": root, "top": 1 });
        async move { run(&url, &ns, "corpus", "killed", &input, Some(CALLER)).await }
    });
    wait_until("the first host is at work", DEADLINE, async || collector.of_run("killed").len() > 20).await;
    doomed.kill().await?;
    let _heir = HostProcess::start(&url, &ns, &environment).await?;
    assert_eq!(started.await??["status"], "completed");
    let (root, steps) = spans(&collector, "killed", 1000).await;
    check_tree(&root, &steps);
    assert_eq!(collector.instances_of_run("killed").len(), 2);
    let again = steps.iter().filter(|step| attributes(step)["jetway.attempt"] != "1").count();
    assert!(again > 0, "no step says that it is a second attempt");
    // A fan-in links to the branches that led to it.
    let merge = steps.iter().find(|step| attributes(step)["jetway.node"] == "merge").context("no merge")?;
    assert!(merge.links.len() > 1, "the join has {} links", merge.links.len());
    Ok(())
}
