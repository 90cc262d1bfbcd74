//! Runs at a steady rate, and their results.

use crate::mixed::Job;
use anyhow::{Context, Result, ensure};
use async_nats::Subscriber;
use futures::StreamExt;
use jetway::{Client, NatsConfig, RunId, client::StartOptions};
use jetway_server::try_wait_until;
use serde_json::Value;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior, timeout},
};

/// A host that takes longer does not start.
const READY: Duration = Duration::from_secs(60);
/// A run that takes longer is lost.
const LOST: Duration = Duration::from_secs(60);
/// So many runs are under way at most: a host that cannot keep up is not buried.
const MOST_AT_ONCE: usize = 5_000;

/// What has been done so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) steps: u64,
    pub(crate) since: Instant,
}

/// Starts runs at a rate, and checks what comes of each.
pub(crate) struct Load {
    client: Client,
    results: Subscriber,
    due: Interval,
    starts: JoinSet<Result<()>>,
    under_way: HashSet<u64>,
    tally: Tally,
}

impl Load {
    /// Connects, and waits until a host is up.
    pub(crate) async fn connect(url: &str, namespace: &str, rate: u32) -> Result<Self> {
        let plain = async_nats::connect(url).await?;
        let results = plain.subscribe(format!("jetway.{namespace}.done.mixed.*")).await?;
        plain.flush().await?;
        let config = NatsConfig::new(url).in_namespace(namespace.parse()?);
        let client = Client::connect_with(config).await?;
        let up = async || client.workflows().await.is_ok_and(|workflows| !workflows.is_empty());
        try_wait_until("the host is up", READY, up).await?;
        let mut due = tokio::time::interval(Duration::from_secs(1) / rate);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let tally = Tally { started: 0, ended: 0, steps: 0, since: Instant::now() };
        Ok(Self { client, results, due, starts: JoinSet::new(), under_way: HashSet::new(), tally })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Goes on until `end`.
    pub(crate) async fn until<T>(&mut self, end: impl Future<Output = T>) -> Result<()> {
        tokio::pin!(end);
        loop {
            tokio::select! {
                _ = &mut end => return Ok(()),
                _ = self.due.tick(), if self.under_way.len() < MOST_AT_ONCE => self.start(),
                Some(started) = self.starts.join_next() => started??,
                result = self.results.next() => self.ended(&result.context("the connection is closed")?.payload)?,
            }
        }
    }

    /// Starts no more, and waits for what is under way.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        while let Some(started) = self.starts.join_next().await {
            started??;
        }
        while !self.under_way.is_empty() {
            let result = timeout(LOST, self.results.next()).await;
            let result = result.with_context(|| format!("{} runs were lost", self.under_way.len()))?;
            self.ended(&result.context("the connection is closed")?.payload)?;
        }
        Ok(())
    }

    fn start(&mut self) {
        let number = self.tally.started;
        self.tally.started += 1;
        self.under_way.insert(number);
        let client = self.client.clone();
        self.starts.spawn(async move {
            let options = StartOptions::named(RunId::new(&format!("r{number}"))?);
            client.publish_start("mixed", &Job::of(number), &options).await?;
            Ok(())
        });
    }

    fn ended(&mut self, result: &[u8]) -> Result<()> {
        let result: Value = serde_json::from_slice(result)?;
        let number = result["run_id"].as_str().and_then(|id| id.strip_prefix('r')?.parse().ok());
        let number = number.with_context(|| format!("a run that was not started: {result}"))?;
        ensure!(self.under_way.remove(&number), "run {number} ended twice: {result}");
        let job = Job::of(number);
        let right = match job.fails() {
            true => result["status"] == "failed" && result["error"]["node"] == "visit",
            false => result["status"] == "completed" && result["output"] == job.output(),
        };
        ensure!(right, "run {number} went wrong: {result}");
        self.tally.ended += 1;
        self.tally.steps += result["steps"].as_u64().unwrap_or_default();
        Ok(())
    }
}
