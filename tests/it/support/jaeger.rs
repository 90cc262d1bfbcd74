//! A real Jaeger on free ports of this machine, which keeps traces in memory.

use super::{DEADLINE, go_tool};
use anyhow::{Context, Result, ensure};
use jetway_testing::{GoTool, wait_until};
use serde_json::Value;
use std::{collections::BTreeMap, fs, net::TcpListener, process::Stdio};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

/// A Jaeger. It ends when it is dropped.
pub(crate) struct Jaeger {
    _process: Child,
    _directory: TempDir,
    grpc: u16,
    http: u16,
    query: u16,
}

impl Jaeger {
    /// Starts a Jaeger that listens on the loopback address only. `None` where it is not built.
    pub(crate) async fn start() -> Result<Option<Self>> {
        let Some(program) = go_tool(GoTool::Jaeger)? else { return Ok(None) };
        let [grpc, http, query, query_grpc] = free_ports()?;
        let directory = TempDir::new()?;
        let config = directory.path().join("jaeger.yaml");
        fs::write(&config, configuration(grpc, http, query, query_grpc))?;
        let process = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let jaeger = Self { _process: process, _directory: directory, grpc, http, query };
        wait_until("Jaeger answers", DEADLINE, async || jaeger.get("/api/services").await.is_ok()).await;
        wait_until("Jaeger takes spans", DEADLINE, async || {
            TcpStream::connect(("127.0.0.1", grpc)).await.is_ok()
                && TcpStream::connect(("127.0.0.1", http)).await.is_ok()
        })
        .await;
        Ok(Some(jaeger))
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with gRPC.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// The same with `http/protobuf`.
    pub(crate) fn http_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The traces of a service, as they have come so far.
    pub(crate) async fn traces(&self, service: &str) -> Result<Vec<Trace>> {
        let answer = self.get(&format!("/api/traces?service={service}&limit=1500")).await?;
        answer["data"].as_array().context("no data")?.iter().map(Trace::parse).collect()
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.query)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: jaeger\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.contains(" 200 "), "{path}: {head}\n{body}");
        Ok(serde_json::from_str(body)?)
    }
}

fn free_ports() -> Result<[u16; 4]> {
    let listeners = [(); 4].map(|()| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.as_ref().ok().context("no free port")?.local_addr()?.port();
    }
    Ok(ports)
}

fn configuration(grpc: u16, http: u16, query: u16, query_grpc: u16) -> String {
    format!(
        "service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{ receivers: [otlp], exporters: [jaeger_storage_exporter] }}
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: warn }} }}
extensions:
  jaeger_query:
    storage: {{ traces: memory }}
    http: {{ endpoint: 127.0.0.1:{query} }}
    grpc: {{ endpoint: 127.0.0.1:{query_grpc} }}
  jaeger_storage:
    backends: {{ memory: {{ memory: {{ max_traces: 10000 }} }} }}
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: 127.0.0.1:{grpc} }}
      http: {{ endpoint: 127.0.0.1:{http} }}
exporters:
  jaeger_storage_exporter: {{ trace_storage: memory }}
"
    )
}

/// A trace, as Jaeger shows it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<JaegerSpan>,
    /// The resources of the processes.
    pub(crate) processes: Vec<BTreeMap<String, String>>,
}

/// A span of a trace. Times are microseconds.
#[derive(Debug)]
pub(crate) struct JaegerSpan {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parent: Option<String>,
    pub(crate) links: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
}

impl Trace {
    fn parse(trace: &Value) -> Result<Self> {
        let spans = trace["spans"].as_array().context("no spans")?.iter().map(JaegerSpan::parse);
        let processes = trace["processes"].as_object().context("no processes")?;
        let processes = processes.values().map(|process| tags(&process["tags"])).collect();
        Ok(Self { spans: spans.collect::<Result<_>>()?, processes })
    }

    pub(crate) fn roots(&self) -> Vec<&JaegerSpan> {
        self.spans.iter().filter(|span| self.parent_of(span).is_none()).collect()
    }

    pub(crate) fn parent_of(&self, span: &JaegerSpan) -> Option<&JaegerSpan> {
        self.spans.iter().find(|parent| Some(&parent.id) == span.parent.as_ref())
    }

    pub(crate) fn named<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a JaegerSpan> {
        self.spans.iter().filter(move |span| span.name.starts_with(prefix))
    }

    /// Whether all committed steps of all its runs are there, and the runs themselves.
    pub(crate) fn is_complete(&self) -> bool {
        let of_run = |id: &str| {
            let steps = self.named("step ").filter(|step| step.tags["jetway.run_id"] == id);
            steps.filter(|step| step.is_committed()).count().to_string()
        };
        let runs: Vec<_> = self.named("run ").map(|run| &run.tags).collect();
        self.named("step ")
            .all(|step| runs.iter().any(|run| run["jetway.run_id"] == step.tags["jetway.run_id"]))
            && !runs.is_empty()
            && runs.iter().all(|run| of_run(&run["jetway.run_id"]) == run["jetway.steps"])
    }

    /// Everything that is wrong with it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let roots: Vec<_> = self.roots().into_iter().map(|root| &root.name).collect();
        if roots.len() != 1 {
            faults.push(format!("{} roots: {roots:?}", roots.len()));
        }
        for span in &self.spans {
            let JaegerSpan { name, warnings, start, end, .. } = span;
            faults.extend(warnings.iter().map(|warning| format!("{name}: {warning}")));
            let Some(parent) = self.parent_of(span) else {
                faults.extend(
                    span.parent.as_ref().map(|parent| format!("{name}: its parent {parent} is missing")),
                );
                continue;
            };
            if *start < parent.start || *end > parent.end {
                let (parent, from, to) = (&parent.name, parent.start, parent.end);
                faults.push(format!("{name} ({start} to {end}) is not within {parent} ({from} to {to})"));
            }
        }
        faults
    }
}

impl JaegerSpan {
    fn parse(span: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let references = span["references"].as_array().map(Vec::as_slice).unwrap_or_default();
        let (parents, links): (Vec<_>, Vec<_>) =
            references.iter().partition(|reference| reference["refType"] == "CHILD_OF");
        let start = span["startTime"].as_u64().context("no start")?;
        let warnings = span["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            id: text(&span["spanID"])?,
            name: text(&span["operationName"])?,
            parent: parents.first().map(|parent| text(&parent["spanID"])).transpose()?,
            links: links.len(),
            start,
            end: start + span["duration"].as_u64().context("no duration")?,
            tags: tags(&span["tags"]),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    }

    fn is_committed(&self) -> bool {
        let outcome = self.tags.get("jetway.outcome").map(String::as_str);
        matches!(outcome, Some("next" | "next_all" | "hold" | "handled" | "failed"))
    }
}

fn tags(tags: &Value) -> BTreeMap<String, String> {
    let pairs = tags.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(|tag| {
        let value = &tag["value"];
        Some((
            tag["key"].as_str()?.to_owned(),
            value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        ))
    });
    pairs.collect()
}
