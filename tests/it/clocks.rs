//! Hosts whose machines have wrong clocks, side by side. The server decides what time it is.

use crate::support::{Collector, DEADLINE, HostProcess, built, faketime};
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use futures::{StreamExt as _, future::try_join_all};
use jetway_engine::backend::{BackendErrorKind, SnapshotStore as _, SnapshotWrite};
use jetway_nats::{NatsBackend, NatsConfig};
use jetway_state::{
    CommitId, Incarnation, Namespace, RunId, RunKey, WorkflowName,
    run::{Chunk, ChunkRef, Status},
};
use jetway_testing::{FakeTime, NatsServer, unique_namespace, wait_until};
use jetway_tests::clocks::{GRACE, STALE_AFTER};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How wrong the clocks are, in seconds.
const SKEWS: [f64; 5] = [-3600.0, -60.0, 0.05, 90.0, 3600.0];

/// How much later than its time something may happen: the period of the sweep or cleanup, and a busy machine.
const LATE: Duration = Duration::from_secs(20);

/// A server, and hosts with wrong clocks.
struct Fleet {
    faketime: FakeTime,
    server: NatsServer,
    namespace: String,
    collector: Collector,
}

impl Fleet {
    /// `None` where clocks cannot be changed.
    async fn new(label: &str) -> Result<Option<Self>> {
        let Some(faketime) = faketime().await? else { return Ok(None) };
        let (server, collector) = (NatsServer::start().await?, Collector::start().await?);
        Ok(Some(Self { faketime, server, namespace: unique_namespace(label), collector }))
    }

    async fn host(&self, namespace: &str, skew: f64) -> Result<HostProcess> {
        let environment = self.faketime.environment(skew);
        let mut environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint()));
        let program = built("jetway-tests", "clock-host", &[]);
        HostProcess::of(&program, &self.server.url(), namespace, &environment).await
    }

    /// A host for each wrong clock.
    async fn hosts(&self) -> Result<Vec<HostProcess>> {
        try_join_all(SKEWS.map(|skew| self.host(&self.namespace, skew))).await
    }

    async fn jetstream(&self) -> Result<jetstream::Context> {
        Ok(jetstream::new(async_nats::connect(self.server.url()).await?))
    }

    async fn backend(&self) -> Result<NatsBackend> {
        let config = NatsConfig::new(self.server.url()).in_namespace(Namespace::new(&self.namespace)?);
        Ok(NatsBackend::connect(config).await?)
    }

    async fn start(&self, namespace: &str, workflow: &str, id: &str, input: &Value) -> Result<()> {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jetway-Run-Id", id);
        let subject = format!("jetway.{namespace}.start.{workflow}");
        self.jetstream()
            .await?
            .publish_with_headers(subject, headers, input.to_string().into())
            .await?
            .await?;
        Ok(())
    }

    /// Waits for the stored result of a run.
    async fn result(&self, namespace: &str, workflow: &str, id: &str, within: Duration) -> Result<Value> {
        self.result_of(format!("run {workflow}/{id} has a result"), namespace, workflow, id, within).await
    }

    /// The same for the run `r1` of a host whose clock is wrong by so many seconds.
    async fn result_by(&self, skew: f64, namespace: &str, workflow: &str, within: Duration) -> Result<Value> {
        let what = format!("a host whose clock is off by {skew} s mends run {workflow}/r1");
        self.result_of(what, namespace, workflow, "r1", within).await
    }

    async fn result_of(
        &self,
        what: String,
        namespace: &str,
        workflow: &str,
        id: &str,
        within: Duration,
    ) -> Result<Value> {
        let done = self.jetstream().await?.get_stream(format!("JETWAY_{namespace}_DONE")).await?;
        let subject = format!("jetway.{namespace}.done.{workflow}.{id}");
        let stored =
            wait_until(&what, within, async || done.get_last_raw_message_by_subject(&subject).await.ok());
        Ok(serde_json::from_slice(&stored.await.payload)?)
    }
}

/// A chunk without a snapshot: its writer is about to write the snapshot, or has died.
async fn orphan(backend: &NatsBackend, id: &str) -> Result<(RunKey, ChunkRef)> {
    let run = RunKey::new(WorkflowName::new("large")?, RunId::new(id)?);
    let commit = CommitId { writer: 7, number: 1 };
    let name = ChunkRef { commit, number: 0, bytes: 1000 };
    let write = SnapshotWrite {
        incarnation: Incarnation::default(),
        chain: None,
        run: run.clone(),
        commit,
        // There is no such revision, so that the chunk is stored and the snapshot is not.
        expected: u64::from(u32::MAX),
        status: Status::Running,
        may_expire: true,
        awaited: false,
        bytes: Vec::new().into(),
        chunks: vec![Chunk { name, bytes: vec![7; 1000].into() }],
    };
    let refused = backend.commit(write).await.err().context("a snapshot replaced nothing")?;
    ensure!(refused.kind() == BackendErrorKind::Conflict, "{refused}");
    ensure!(
        backend.read_chunk(&run, Incarnation::default(), name).await?.is_some(),
        "the chunk is not stored"
    );
    Ok((run, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_chunks_of_starting_runs_stay_for_their_grace() -> Result<()> {
    let Some(fleet) = Fleet::new("chunks").await? else { return Ok(()) };
    let _hosts = fleet.hosts().await?;
    let backend = fleet.backend().await?;
    let written = Instant::now();
    let (run, chunk) = orphan(&backend, "starting").await?;
    let is_gone = async || {
        backend.read_chunk(&run, Incarnation::default(), chunk).await.is_ok_and(|found| found.is_none())
    };
    wait_until("the chunk is removed", GRACE + LATE, is_gone).await;
    assert!(written.elapsed() >= GRACE, "removed after {:?}", written.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_large_inputs_are_not_lost() -> Result<()> {
    const RUNS: usize = 300;
    let Some(fleet) = Fleet::new("inputs").await? else { return Ok(()) };
    let _hosts = fleet.hosts().await?;
    let (ns, input) = (fleet.namespace.as_str(), json!("x".repeat(60_000)));
    let mut ids = futures::stream::iter(0..RUNS)
        .map(async |number| fleet.start(ns, "large", &format!("r{number}"), &input).await.map(|()| number))
        .buffer_unordered(16);
    while let Some(started) = ids.next().await {
        started?;
    }
    for number in 0..RUNS {
        let result = fleet.result(ns, "large", &format!("r{number}"), DEADLINE).await?;
        assert_eq!((&result["status"], &result["output"]), (&json!("completed"), &json!(60_000)), "{result}");
        let (started, finished) = (&result["started_at"], &result["finished_at"]);
        assert!(started.as_str() <= finished.as_str(), "{result}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_starts_of_unserved_workflows_wait_their_grace() -> Result<()> {
    let Some(fleet) = Fleet::new("unserved").await? else { return Ok(()) };
    let _hosts = fleet.hosts().await?;
    let sent = Instant::now();
    fleet.start(&fleet.namespace, "nobody", "r1", &json!(1)).await?;
    let stream = format!("JETWAY_{}_DEAD", fleet.namespace);
    let mut dead = fleet.jetstream().await?.get_stream(stream).await?;
    wait_until("the start is a dead letter", GRACE + LATE, async || {
        dead.info().await.is_ok_and(|info| info.state.messages == 1)
    })
    .await;
    assert!(sent.elapsed() >= GRACE, "a dead letter after {:?}", sent.elapsed());
    Ok(())
}

/// A run whose ticket is gone, and so is the host that was at work on it. Returns its namespace.
async fn without_a_ticket(fleet: &Fleet, gates: &Path) -> Result<String> {
    let ns = unique_namespace("tickets");
    let doomed = fleet.host(&ns, 0.0).await?;
    let gate = gates.join(&ns);
    fleet.start(&ns, "gated", "r1", &json!({ "open": gate })).await?;
    let js = fleet.jetstream().await?;
    let mut tickets = js.get_stream(format!("JETWAY_{ns}_WORK")).await?;
    wait_until("the host is at work", DEADLINE, async || {
        let info = tickets.info().await.ok()?;
        (info.state.messages == 1).then_some(())
    })
    .await;
    doomed.kill().await?;
    tickets.purge().await?;
    fs::write(&gate, "")?;
    Ok(ns)
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_lost_tickets_are_mended_in_the_usual_time() -> Result<()> {
    let Some(fleet) = Fleet::new("tickets").await? else { return Ok(()) };
    let gates = TempDir::new()?;
    let mend = async |skew: f64| {
        let ns = without_a_ticket(&fleet, gates.path()).await?;
        let _heir = fleet.host(&ns, skew).await?;
        let result = fleet.result_by(skew, &ns, "gated", STALE_AFTER + LATE).await?;
        assert_eq!(result["status"], "completed", "{result}");
        anyhow::Ok(())
    };
    try_join_all(SKEWS.map(mend)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn m4_a_lost_result_is_mended_in_the_usual_time() -> Result<()> {
    let Some(fleet) = Fleet::new("results").await? else { return Ok(()) };
    let mend = async |skew: f64| {
        let ns = unique_namespace("results");
        // The host that ends the run and the one that mends it are off in opposite directions.
        let first = fleet.host(&ns, -skew).await?;
        fleet.start(&ns, "large", "r1", &json!("x")).await?;
        fleet.result(&ns, "large", "r1", DEADLINE).await?;
        first.kill().await?;
        fleet.jetstream().await?.get_stream(format!("JETWAY_{ns}_DONE")).await?.purge().await?;
        let _heir = fleet.host(&ns, skew).await?;
        let result = fleet.result_by(skew, &ns, "large", STALE_AFTER * 2 + LATE).await?;
        assert_eq!(result["status"], "completed", "{result}");
        anyhow::Ok(())
    };
    try_join_all(SKEWS.map(mend)).await?;
    Ok(())
}

/// The span of the run, and those of its steps.
async fn spans(fleet: &Fleet, id: &str, steps: usize) -> (Span, Vec<Span>) {
    wait_until("the spans of the run have come", DEADLINE, async || {
        let (mut roots, others): (Vec<_>, Vec<_>) =
            fleet.collector.of_run(id).into_iter().partition(|span| span.name.starts_with("run "));
        (others.len() >= steps && roots.len() == 1).then(|| (roots.remove(0), others))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_no_span_is_negative_and_runs_cover_steps() -> Result<()> {
    const RUNS: usize = 20;
    let Some(fleet) = Fleet::new("spans").await? else { return Ok(()) };
    let _hosts = fleet.hosts().await?;
    let ids: Vec<String> = (0..RUNS).map(|number| unique_namespace(&format!("span{number}"))).collect();
    for id in &ids {
        fleet.start(&fleet.namespace, "wide", id, &json!(1)).await?;
    }
    let mut hosts = 0;
    for id in &ids {
        let result = fleet.result(&fleet.namespace, "wide", id, DEADLINE).await?;
        assert_eq!(result["output"], 8, "{result}");
        let (run, steps) = spans(&fleet, id, 10).await;
        hosts = hosts.max(fleet.collector.instances_of_run(id).len());
        for span in steps.iter().chain([&run]) {
            assert!(
                span.start_time_unix_nano <= span.end_time_unix_nano,
                "{} ends before it starts",
                span.name
            );
        }
        for step in &steps {
            let early = run.start_time_unix_nano.saturating_sub(step.start_time_unix_nano);
            let late = step.end_time_unix_nano.saturating_sub(run.end_time_unix_nano);
            assert_eq!((early, late), (0, 0), "{} is not within its run", step.name);
        }
    }
    assert!(hosts > 1, "every run was executed by one host");
    Ok(())
}
