//! Runs, started and awaited as clients do.

use crate::bare::Publisher;
use anyhow::{Context, Result, ensure};
use async_nats::{HeaderMap, Subscriber, jetstream};
use futures::StreamExt;
use hdrhistogram::Histogram;
use jetway::{Client, NatsConfig, RunId, client::StartOptions};
use serde_json::Value;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

/// A run that takes longer than this is lost.
const LOST: Duration = Duration::from_secs(60);

/// How many publishes there are between two idle runs: before those that are measured, and measured.
const QUIET: usize = 5;
const PUBLISHES: usize = 5;

/// Who starts runs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    /// Any NATS client publishes a start message for each run
    Message,
    /// Jetway's client publishes start messages, which go in groups
    Client,
    /// Jetway's client asks a host
    Request,
}

/// A client that starts runs and waits for their results.
pub(crate) struct Load {
    starter: Starter,
    results: Subscriber,
    runs: u64,
}

/// How long the runs of a load took.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Times {
    pub(crate) steps_per_second: f64,
    pub(crate) run_p50_ms: f64,
    pub(crate) run_p99_ms: f64,
}

/// The times of idle runs, and of synchronous publishes between them.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Idle {
    pub(crate) run_p50_ms: f64,
    pub(crate) run_p99_ms: f64,
    pub(crate) publish_p50_ms: f64,
}

impl Load {
    pub(crate) async fn connect(url: &str, namespace: &str) -> Result<Self> {
        let plain = async_nats::connect(url).await?;
        let results = plain.subscribe(format!("jetway.{namespace}.done.chain10.*")).await?;
        plain.flush().await?;
        let subject = format!("jetway.{namespace}.start.chain10");
        let config = NatsConfig::new(url).in_namespace(namespace.parse()?);
        let client = Client::connect_with(config).await?;
        let starter = Starter { plain: jetstream::new(plain), subject, client };
        Ok(Self { starter, results, runs: 0 })
    }

    /// Runs with nothing else going on, and synchronous publishes after each: a machine that is busier now than it was
    /// before is so for both.
    pub(crate) async fn one_by_one(&mut self, runs: usize, publisher: &Publisher) -> Result<Idle> {
        let (mut times, mut publishes) = (histogram()?, histogram()?);
        for _ in 0..runs {
            let id = self.next_id();
            let began = Instant::now();
            self.starter.clone().start(Start::Message, id.clone()).await?;
            let ended = self.result().await?;
            ensure!(ended == id, "run {ended} ended while only run {id} went on");
            times.record(u64::try_from(began.elapsed().as_micros())?)?;
            // The server settles what the run left behind beside the first ones, which do not count.
            for _ in 0..QUIET {
                publisher.publish().await?;
            }
            for _ in 0..PUBLISHES {
                publishes.record(u64::try_from(publisher.publish().await?.as_micros())?)?;
            }
        }
        Ok(Idle {
            run_p50_ms: ms(&times, 0.5),
            run_p99_ms: ms(&times, 0.99),
            publish_p50_ms: ms(&publishes, 0.5),
        })
    }

    /// `runs` runs, `in_flight` at any time.
    pub(crate) async fn at_once(&mut self, start: Start, runs: usize, in_flight: usize) -> Result<Times> {
        let mut began: HashMap<String, Instant> = HashMap::new();
        let mut starts = JoinSet::new();
        let mut times = histogram()?;
        let (mut started, mut ended) = (0, 0);
        let first = Instant::now();
        while ended < runs {
            while started < runs && started - ended < in_flight {
                let id = self.next_id();
                began.insert(id.clone(), Instant::now());
                starts.spawn(self.starter.clone().start(start, id));
                started += 1;
            }
            while let Some(acknowledged) = starts.try_join_next() {
                acknowledged??;
            }
            let id = self.result().await?;
            let began = began.remove(&id).with_context(|| format!("run {id} ended twice"))?;
            times.record(u64::try_from(began.elapsed().as_micros())?)?;
            ended += 1;
        }
        Ok(Times {
            steps_per_second: (runs * 10) as f64 / first.elapsed().as_secs_f64(),
            run_p50_ms: ms(&times, 0.5),
            run_p99_ms: ms(&times, 0.99),
        })
    }

    fn next_id(&mut self) -> String {
        self.runs += 1;
        format!("r{}", self.runs)
    }

    /// The id of the next run that ends, which has to end well.
    async fn result(&mut self) -> Result<String> {
        let result = timeout(LOST, self.results.next()).await.context("a run was lost")?;
        let result: Value = serde_json::from_slice(&result.context("the connection was closed")?.payload)?;
        ensure!(result["output"] == 10 && result["steps"] == 10, "a run went wrong: {result}");
        Ok(result["run_id"].as_str().context("a result names its run")?.to_owned())
    }
}

#[derive(Clone)]
struct Starter {
    plain: jetstream::Context,
    subject: String,
    client: Client,
}

impl Starter {
    async fn start(self, start: Start, id: String) -> Result<()> {
        let options = StartOptions::named(RunId::new(&id)?);
        match start {
            Start::Message => {
                let mut headers = HeaderMap::new();
                headers.insert("Jetway-Run-Id", id.as_str());
                self.plain.publish_with_headers(self.subject, headers, "0".into()).await?.await?;
            }
            Start::Client => drop(self.client.publish_start("chain10", &0, &options).await?),
            Start::Request => drop(self.client.start("chain10", &0, &options).await?),
        }
        Ok(())
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}
