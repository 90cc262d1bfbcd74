//! The fixture of a case: a namespace, the directories of its runs, and hosts that die.

use crate::support::{DEADLINE, built};
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use futures::TryStreamExt;
use jetway::{Client, Namespace, NatsConfig, RunId, RunKey, WorkflowName, client::StartOptions};
use jetway_engine::fail_point::FailPoint;
use jetway_nats::NatsBackend;
use jetway_testing::{unique_namespace, wait_until};
use serde_json::json;
use std::{
    collections::BTreeMap, fs, os::unix::process::ExitStatusExt, path::PathBuf, process::Stdio,
    sync::OnceLock, time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

/// `SIGABRT`.
const ABORTED: i32 = 6;

/// The built host. Not built with the tests, since only it has the feature.
pub(super) fn crash_host() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("jetway-tests", "crash-host", &["fail-points"]))
}

/// A namespace and the directories of its runs.
pub(super) struct Fixture {
    url: String,
    namespace: String,
    directory: TempDir,
    pub(super) client: Client,
    jetstream: jetstream::Context,
}

impl Fixture {
    /// A namespace with its streams and without a host.
    pub(super) async fn new(url: &str, label: &str) -> Result<Self> {
        let namespace = unique_namespace(label);
        let config = NatsConfig::new(url).in_namespace(Namespace::new(&namespace)?);
        NatsBackend::connect(config.clone()).await?;
        Ok(Self {
            url: url.to_owned(),
            namespace,
            directory: TempDir::new()?,
            client: Client::connect_with(config).await?,
            jetstream: jetstream::new(async_nats::connect(url).await?),
        })
    }

    fn directory(&self, run: &RunKey) -> PathBuf {
        self.directory.path().join(run.run_id.as_str())
    }

    /// The key of a run, which may not exist yet.
    pub(super) fn key(workflow: &str, id: &str) -> Result<RunKey> {
        Ok(RunKey::new(WorkflowName::new(workflow)?, RunId::new(id)?))
    }

    /// Publishes the start message of a run.
    pub(super) async fn start(&self, workflow: &str, id: &str, number: u64, bytes: usize) -> Result<RunKey> {
        let id = RunId::new(id)?;
        let directory = self.directory.path().join(id.as_str());
        fs::create_dir_all(&directory)?;
        let input = json!({ "dir": directory, "number": number, "bytes": bytes });
        Ok(self.client.publish_start(workflow, &input, &StartOptions::named(id)).await?.key)
    }

    /// Opens gates, at which steps of a run wait.
    pub(super) fn open(&self, run: &RunKey, gates: &[&str]) -> Result<()> {
        Ok(gates.iter().try_for_each(|gate| fs::write(self.directory(run).join(gate), ""))?)
    }

    /// Whether a gate of a run is open.
    pub(super) fn is_open(&self, run: &RunKey, gate: &str) -> bool {
        self.directory(run).join(gate).exists()
    }

    /// The nodes that were executed for a run and for its children, once for each attempt.
    pub(super) fn attempts(&self, run: &RunKey) -> Vec<String> {
        let log = fs::read_to_string(self.directory(run).join("attempts")).unwrap_or_default();
        log.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
    }

    /// Waits until a node is being executed.
    pub(super) async fn reached(&self, run: &RunKey, node: &str) {
        let what = format!("node {node} of {run} runs");
        wait_until(&what, DEADLINE, async || self.attempts(run).iter().any(|ran| ran == node)).await;
    }

    /// Starts a host. It dies at the fail point `arm`, if there is one.
    pub(super) fn host(&self, arm: Option<&str>) -> Result<Host> {
        let child = Command::new(crash_host())
            .env("NATS_URL", &self.url)
            .env("JETWAY_NAMESPACE", &self.namespace)
            .env("JETWAY_FAIL_POINT", arm.unwrap_or_default())
            .env("RUST_LOG", "warn")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Host { child })
    }

    /// Removes every ticket, as a server does that loses its last writes.
    pub(super) async fn remove_tickets(&self) -> Result<()> {
        let tickets = self.stream("WORK").await?;
        ensure!(tickets.purge().await?.purged > 0, "there was no ticket to remove");
        Ok(())
    }

    /// The number of tickets.
    pub(super) async fn tickets(&self) -> Result<u64> {
        Ok(self.stream("WORK").await?.cached_info().state.messages)
    }

    /// The dead letters, by their reason.
    pub(super) async fn dead_letters(&self) -> Result<BTreeMap<String, usize>> {
        let mut letters = BTreeMap::new();
        let mut subjects = self.stream("DEAD").await?.info_with_subjects(">").await?;
        while let Some((subject, number)) = subjects.try_next().await? {
            let why = subject.rsplit('.').next().unwrap_or_default();
            *letters.entry(why.to_owned()).or_default() += number;
        }
        Ok(letters)
    }

    /// Waits until no ticket, no start message, no signal and no chunk is left.
    pub(super) async fn wait_until_nothing_is_left(&self) -> Result<()> {
        for stream in ["WORK", "START", "SIGNAL"] {
            wait_until(&format!("the stream {stream} is empty"), DEADLINE, async || {
                self.stream(stream).await.ok().is_some_and(|stream| stream.cached_info().state.messages == 0)
            })
            .await;
        }
        let chunks = format!("$KV.JETWAY_{}_RUNS.*.*.>", self.namespace);
        let name = format!("KV_JETWAY_{}_RUNS", self.namespace);
        wait_until("no chunk is left", DEADLINE, async || {
            let stream = self.jetstream.get_stream(&name).await.ok()?;
            let subjects = stream.info_with_subjects(&chunks).await.ok()?;
            subjects.try_collect::<Vec<_>>().await.ok()?.is_empty().then_some(())
        })
        .await;
        Ok(())
    }

    async fn stream(&self, name: &str) -> Result<jetstream::stream::Stream> {
        Ok(self.jetstream.get_stream(format!("JETWAY_{}_{name}", self.namespace)).await?)
    }
}

/// A host process.
pub(super) struct Host {
    child: Child,
}

impl Host {
    /// Waits until the host dies, and checks that it died at this fail point.
    pub(super) async fn dies_at(&mut self, point: FailPoint) -> Result<()> {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().context("the log was read before")?;
        let read = timeout(DEADLINE * 2, stderr.read_to_string(&mut log)).await;
        ensure!(read.is_ok(), "the host did not reach {point}. Its log:\n{log}");
        let status = timeout(Duration::from_secs(10), self.child.wait()).await??;
        let last = format!("the process ends at the fail point {point}");
        ensure!(
            status.signal() == Some(ABORTED) && log.lines().last() == Some(&*last),
            "the host ended with {status}:\n{log}"
        );
        Ok(())
    }
}
