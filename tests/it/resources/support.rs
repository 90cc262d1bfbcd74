//! Hosts, clients and streams of the tests at limits.

use crate::support::DEADLINE;
use anyhow::{Context, Result};
use async_nats::jetstream::stream::Config;
use jetway::{
    Client, Host, NatsConfig, RunId, RunKey,
    client::{DoneView, StartOptions, Status},
    host::{EngineConfig, HostHandle},
};
use jetway_testing::{NatsServer, unique_namespace};
use jetway_tests::resources::{Job, Report, grow, work};
use serde::Serialize;
use std::{ops::Deref, time::Duration};

/// A server, and a host and a client of one namespace on it.
pub(crate) struct Setup {
    _host: HostHandle,
    pub(crate) client: Client,
    pub(crate) jetstream: async_nats::jetstream::Context,
    pub(crate) ns: String,
    pub(crate) server: NatsServer,
}

/// Writes are given up, and leases run out, soon.
pub(crate) fn impatient(url: &str, ns: &str) -> Result<NatsConfig> {
    let mut config = NatsConfig::new(url).in_namespace(ns.parse()?);
    config.ack_wait = Duration::from_secs(1);
    config.writes.give_up_after = Duration::from_secs(1);
    Ok(config)
}

/// A host in this process, of the workflows that do not take it down.
pub(crate) async fn host(config: NatsConfig, engine: EngineConfig) -> Result<HostHandle> {
    let builder = Host::builder().nats_config(config).engine_config(engine);
    Ok(builder.workflow(work()).workflow(grow()).build().await?.start().await?)
}

impl Setup {
    pub(crate) async fn new(label: &str) -> Result<Self> {
        let server = NatsServer::start().await?;
        let ns = unique_namespace(label);
        let config = NatsConfig::new(server.url()).in_namespace(ns.parse()?);
        Self::with(server, ns, config, EngineConfig::default()).await
    }

    /// With a host and a client that give up soon.
    pub(crate) async fn impatient(label: &str, engine: EngineConfig) -> Result<Self> {
        let server = NatsServer::start().await?;
        let ns = unique_namespace(label);
        let config = impatient(&server.url(), &ns)?;
        Self::with(server, ns, config, engine).await
    }

    async fn with(server: NatsServer, ns: String, config: NatsConfig, engine: EngineConfig) -> Result<Self> {
        let host = host(config.clone(), engine).await?;
        let client = Client::connect_with(config).await?;
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
        Ok(Self { _host: host, client, jetstream, ns, server })
    }

    /// The name of a stream, by its last word.
    pub(crate) fn stream(&self, word: &str) -> String {
        match word {
            "RUNS" | "HOSTS" => format!("KV_JETWAY_{}_{word}", self.ns),
            _ => format!("JETWAY_{}_{word}", self.ns),
        }
    }

    /// Changes the settings of a stream.
    pub(crate) async fn change(&self, word: &str, change: impl FnOnce(&mut Config, u64)) -> Result<()> {
        let mut stream = self.jetstream.get_stream(self.stream(word)).await?;
        let info = stream.info().await?;
        let mut config = info.config.clone();
        change(&mut config, info.state.bytes);
        self.jetstream.update_stream(&config).await?;
        Ok(())
    }

    /// Leaves a start message as any NATS client does.
    pub(crate) async fn publish(&self, id: &str, job: &Job) -> Result<()> {
        publish(&self.jetstream, &self.ns, id, job).await
    }
}

/// Leaves a start message as any NATS client does.
pub(crate) async fn publish(
    jetstream: &async_nats::jetstream::Context,
    ns: &str,
    id: &str,
    job: &Job,
) -> Result<()> {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Jetway-Run-Id", id);
    let input = serde_json::to_vec(job)?;
    let subject = format!("jetway.{ns}.start.work");
    jetstream.publish_with_headers(subject, headers, input.into()).await?.await?;
    Ok(())
}

impl Deref for Setup {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

pub(crate) fn key(workflow: &str, id: &str) -> Result<RunKey> {
    Ok(RunKey::new(workflow.parse()?, id.parse()?))
}

pub(crate) fn named(id: &str) -> Result<StartOptions> {
    Ok(StartOptions::named(RunId::new(id)?))
}

/// Starts a run by asking a host, and waits for its result.
pub(crate) async fn result_of(
    client: &Client,
    workflow: &str,
    id: &str,
    input: &(impl Serialize + Sync),
) -> Result<DoneView> {
    let run = client.start(workflow, input, &named(id)?).await?;
    Ok(client.result(&run, DEADLINE).await?)
}

/// The sentence that a run failed with for a limit.
pub(crate) fn limit(done: &DoneView) -> Result<String> {
    assert_eq!(done.status, Status::Failed, "{done:?}");
    let error = done.error.as_ref().context("a failed run has an error")?;
    assert_eq!(error.kind, "limit", "{error:?}");
    Ok(error.message.clone())
}

/// Waits for the result of a run of `work`, which has to be right.
pub(crate) async fn completes(client: &Client, id: &str, job: &Job) -> Result<()> {
    let done = client.result(&key("work", id)?, DEADLINE * 2).await?;
    assert_eq!(done.status, Status::Completed, "{done:?}");
    let report: Report = done.output.context("a completed run has an output")?.read()?;
    let (text, times) = &job.output;
    let branches = job.branches as usize;
    let expected = Report {
        arrived: branches,
        in_order: true,
        bytes: branches * job.branch_bytes,
        visited: i64::from(job.branches),
        text: text.repeat(*times),
    };
    assert!(report == expected, "{id}: {} of {branches} arrived, {} visited", report.arrived, report.visited);
    Ok(())
}

/// An ordinary run completes: everything goes on.
pub(crate) async fn goes_on(client: &Client, id: &str) -> Result<()> {
    let job = Job::ordinary();
    client.start("work", &job, &named(id)?).await?;
    completes(client, id, &job).await
}
