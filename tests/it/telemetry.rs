//! Logs, and the settings of OpenTelemetry.

use crate::support::{Collector, DEADLINE, HostProcess, attributes, built, jetway};
use anyhow::{Context, Result, ensure};
use async_nats::{HeaderMap, jetstream};
use futures::StreamExt as _;
use jetway_testing::{shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;
use tokio::process::Command;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Publishes a start message with these headers, and waits for the result.
async fn run(ns: &str, workflow: &str, id: &str, input: &Value, headers: &[(&str, &str)]) -> Result<Value> {
    let client = async_nats::connect(shared_server().await.url()).await?;
    let mut done = client.subscribe(format!("jetway.{ns}.done.{workflow}.{id}")).await?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let subject = format!("jetway.{ns}.start.{workflow}");
    jetstream::new(client).publish_with_headers(subject, map, input.to_string().into()).await?.await?;
    let message = tokio::time::timeout(DEADLINE, done.next()).await?.context("the connection ended")?;
    Ok(serde_json::from_slice(&message.payload)?)
}

async fn clock_host(ns: &str, environment: &[(&str, &str)]) -> Result<HostProcess> {
    let program = built("jetway-tests", "clock-host", &[]);
    HostProcess::of(&program, &shared_server().await.url(), ns, environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_headers_of_starts_come_in_any_case() -> Result<()> {
    let (ns, collector) = (unique_namespace("headers"), Collector::start().await?);
    let _host = clock_host(&ns, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]).await?;
    for (id, headers) in [
        ("go", [("Jetway-Run-Id", "go"), ("Traceparent", CALLER)]),
        ("lower", [("jetway-run-id", "lower"), ("traceparent", CALLER)]),
        ("upper", [("JETWAY-RUN-ID", "upper"), ("TRACEPARENT", CALLER)]),
    ] {
        let result = run(&ns, "small", id, &json!(3), &headers).await?;
        assert_eq!((&result["run_id"], &result["output"]), (&json!(id), &json!(3)), "{result}");
        let root = wait_until("the span of the run has come", DEADLINE, async || {
            collector.of_run(id).into_iter().find(|span| span.name == "run small")
        })
        .await;
        assert_eq!(root.trace_id[..2], [0x0a, 0xf7], "{id}");
        assert_eq!(root.parent_span_id[..2], [0xb7, 0xad], "{id}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u4_a_failed_run_is_one_line_on_its_host() -> Result<()> {
    let ns = unique_namespace("failed");
    let host = clock_host(&ns, &[]).await?;
    let result = run(&ns, "retried", "broken", &json!(9), &[("Jetway-Run-Id", "broken")]).await?;
    assert_eq!((&result["status"], &result["error"]["attempt"]), (&json!("failed"), &json!(3)), "{result}");
    let lines = wait_until("the host says so", DEADLINE, async || {
        Some(host.log_lines("run failed")).filter(|lines| !lines.is_empty())
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "workflow=retried",
        "run=retried/broken",
        "node=\"flaky\"",
        "attempt=3",
        "the service is down at call 3",
    ] {
        assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u5_every_call_of_a_retried_node_is_shown() -> Result<()> {
    let (ns, collector) = (unique_namespace("retried"), Collector::start().await?);
    let host = clock_host(&ns, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]).await?;
    let result = run(&ns, "retried", "r1", &json!(2), &[("Jetway-Run-Id", "r1")]).await?;
    assert_eq!((&result["status"], &result["output"]), (&json!("completed"), &json!(3)), "{result}");
    let lines = host.log_lines("node failed, trying it again");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let tries = wait_until("the spans of the attempts have come", DEADLINE, async || {
        let spans = collector.of_run("r1").into_iter();
        let tries: Vec<_> = spans.filter(|span| span.name == "step flaky").collect();
        (tries.len() == 3).then_some(tries)
    })
    .await;
    let mut found: Vec<_> = tries
        .iter()
        .map(|span| {
            (attributes(span)["jetway.attempt"].clone(), span.status.as_ref().map_or(0, |status| status.code))
        })
        .collect();
    found.sort();
    assert_eq!(found, [("1".to_owned(), 2), ("2".to_owned(), 2), ("3".to_owned(), 0)]);
    let result = run(&ns, "rescued", "r2", &json!(1), &[("Jetway-Run-Id", "r2")]).await?;
    assert_eq!((&result["status"], &result["output"]), (&json!("completed"), &json!(7)), "{result}");
    let handled = wait_until("the span of the handled step has come", DEADLINE, async || {
        collector.of_run("r2").into_iter().find(|span| span.name == "step flaky")
    })
    .await;
    let status = handled.status.clone().unwrap_or_default();
    assert_eq!(status.code, 2, "{handled:?}");
    assert!(status.message.contains("the service is down at call 1"), "{handled:?}");
    Ok(())
}

/// A certificate for 127.0.0.1 and its key, in files. `None` where there is no openssl.
async fn certificate(directory: &Path) -> Result<bool> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory)
        .output()
        .await;
    match made {
        Ok(made) => {
            ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            Ok(true)
        }
        Err(error) => {
            ensure!(std::env::var_os("CI").is_none(), "no openssl: {error}");
            skipped();
            Ok(false)
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped() {
    eprintln!("SKIPPED: no openssl, which makes a certificate: install it");
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_spans_reach_a_collector_over_tls() -> Result<()> {
    let directory = TempDir::new()?;
    if !certificate(directory.path()).await? {
        return Ok(());
    }
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let collector = Collector::over_tls(&fs::read_to_string(&cert)?, &fs::read_to_string(key)?).await?;
    let (ns, authorities) = (unique_namespace("tls"), cert.display().to_string());
    let environment = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", authorities.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
    ];
    let _host = clock_host(&ns, &environment).await?;
    run(&ns, "small", "r1", &json!(1), &[("Jetway-Run-Id", "r1")]).await?;
    wait_until("the spans have come", DEADLINE, async || collector.of_run("r1").len() == 3).await;
    assert_eq!(collector.authorizations()[0], "Bearer abc");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_verb_works_whatever_telemetry_is_set_to() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("settings"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    for (name, value, warning) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1", None),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address", Some("not an address")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://127.0.0.1", Some("ftp://127.0.0.1")),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem", Some("/no/such/file.pem")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", Some("http/protobuf")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", None),
        ("OTEL_TRACES_EXPORTER", "zipkin", Some("zipkin")),
        ("OTEL_TRACES_SAMPLER", "xray", Some("xray")),
        ("OTEL_SDK_DISABLED", "true", None),
        ("RUST_LOG", "a=b=c", Some("RUST_LOG")),
    ] {
        let mut command = jetway(&["runs", "--json", "--nats", &url, "--namespace", &ns]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env(name, value);
        let ended = command.output().await?;
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        ensure!(ended.status.success(), "{name}={value}: {out}\n{err}");
        serde_json::from_str::<Value>(&out)?;
        // Spans that cannot be sent are a warning of their own.
        let warned = err.lines().any(|line| line.contains("WARN") && !line.contains("cannot export"));
        ensure!(warned == warning.is_some(), "{name}={value}: {err}");
        ensure!(warning.is_none_or(|warning| err.contains(warning)), "{name}={value}: {err}");
        ensure!(!err.contains("feature"), "{name}={value}: {err}");
    }
    Ok(())
}

#[tokio::test]
async fn f10_a_number_that_is_too_large_ends_no_command() -> Result<()> {
    for (name, value, sentence) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999", "1000000 is used"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615", "1000000 is used"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "18446744073709551615", "1000000 is used"),
        ("OTEL_BSP_SCHEDULE_DELAY", "18446744073709551615", "86400000 is used"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "18446744073709551615", "86400000 is used"),
    ] {
        let mut command = jetway(&["runs", "--nats", "nats://127.0.0.1:9"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").env(name, value);
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{name}={value}: {:?}: {text}", output.status);
        ensure!(text.contains(sentence) && text.contains("no nats-server"), "{name}={value}: {text}");
    }
    Ok(())
}
