//! Runs, started and awaited as any client would.

use anyhow::{Context, Result, ensure};
use async_nats::{Client, HeaderMap, Subscriber, jetstream};
use futures::StreamExt;
use hdrhistogram::Histogram;
use serde_json::Value;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

/// A run that takes longer than this is lost.
const LOST: Duration = Duration::from_secs(60);

/// A client that starts runs and waits for their results.
pub(crate) struct Load {
    js: jetstream::Context,
    results: Subscriber,
    start: String,
    runs: u64,
}

/// How long the runs of a load took.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Times {
    pub(crate) steps_per_second: f64,
    pub(crate) run_p50_ms: f64,
    pub(crate) run_p99_ms: f64,
}

impl Load {
    pub(crate) async fn connect(url: &str, namespace: &str) -> Result<Self> {
        let client: Client = async_nats::connect(url).await?;
        let results = client.subscribe(format!("jetway.{namespace}.done.chain10.*")).await?;
        client.flush().await?;
        let start = format!("jetway.{namespace}.start.chain10");
        Ok(Self { js: jetstream::new(client), results, start, runs: 0 })
    }

    /// Runs with nothing else going on.
    pub(crate) async fn one_by_one(&mut self, runs: usize) -> Result<Times> {
        self.at_once(runs, 1).await
    }

    /// `runs` runs, `in_flight` at any time.
    pub(crate) async fn at_once(&mut self, runs: usize, in_flight: usize) -> Result<Times> {
        let mut began: HashMap<String, Instant> = HashMap::new();
        let mut starts = JoinSet::new();
        let mut times = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
        let (mut started, mut ended) = (0, 0);
        let first = Instant::now();
        while ended < runs {
            while started < runs && started - ended < in_flight {
                self.runs += 1;
                let id = format!("r{}", self.runs);
                began.insert(id.clone(), Instant::now());
                starts.spawn(publish(self.js.clone(), self.start.clone(), id));
                started += 1;
            }
            while let Some(acknowledged) = starts.try_join_next() {
                acknowledged??;
            }
            let result =
                timeout(LOST, self.results.next()).await.context("a run was lost")?.context("connection")?;
            let result: Value = serde_json::from_slice(&result.payload)?;
            let id = result["run_id"].as_str().context("a result names its run")?;
            ensure!(result["output"] == 10 && result["steps"] == 10, "a run went wrong: {result}");
            let began = began.remove(id).with_context(|| format!("run {id} ended twice"))?;
            times.record(u64::try_from(began.elapsed().as_micros())?)?;
            ended += 1;
        }
        let elapsed = first.elapsed().as_secs_f64();
        let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Times {
            steps_per_second: (runs * 10) as f64 / elapsed,
            run_p50_ms: ms(0.5),
            run_p99_ms: ms(0.99),
        })
    }
}

async fn publish(js: jetstream::Context, subject: String, id: String) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Run-Id", id.as_str());
    js.publish_with_headers(subject, headers, "0".into()).await?.await?;
    Ok(())
}
