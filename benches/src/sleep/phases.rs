//! The phases of the benchmark: fall asleep, sleep, wake.

use crate::{
    sleepers::Until,
    watch::{Memory, Watch},
};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use jetway::{
    Client, RunId,
    client::{StartOptions, StartedRun, Status},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many runs are started at once.
const AT_ONCE: usize = 512;

/// A run that takes longer than this is lost.
const LOST: Duration = Duration::from_secs(120);

/// Sleeping runs sleep for longer than the benchmark takes.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// One second in which many runs are due.
const RUSH: Duration = Duration::from_secs(1);

/// A fresh run is started this often while many runs wake.
const FRESH_EVERY: Duration = Duration::from_millis(100);

/// The client, and what watches host and server.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) watch: Watch,
}

/// The figures.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Report {
    runs: usize,
    due: usize,
    asleep_after_seconds: f64,
    before: Memory,
    asleep: Memory,
    messages_per_second_before: f64,
    messages_per_second_asleep: f64,
    late: Quantiles,
    fresh_runs: usize,
    fresh: Quantiles,
}

/// Times in milliseconds.
#[derive(Debug, serde::Serialize)]
struct Quantiles {
    p50_ms: u64,
    p99_ms: u64,
    most_ms: u64,
}

impl Quantiles {
    fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile);
        Self { p50_ms: at(0.5), p99_ms: at(0.99), most_ms: times.max() }
    }
}

impl Bench {
    pub(crate) async fn run(&self, runs: usize, due: usize, quiet_seconds: u64) -> Result<Report> {
        // The first runs make the host and the server allocate what they keep.
        self.sleepers("warm", 256, |_| Ok(0)).await?;
        let messages_per_second_before = self.messages_per_second(quiet_seconds).await?;
        let before = self.watch.memory()?;
        let began = Instant::now();
        let until = in_millis(LONG)?;
        let asleep = self.sleepers("long", runs, |_| Ok(until)).await?;
        self.wait_until_asleep(asleep.last()).await?;
        let asleep_after_seconds = began.elapsed().as_secs_f64();
        let messages_per_second_asleep = self.messages_per_second(quiet_seconds).await?;
        let asleep = self.watch.memory()?;
        let (late, (fresh_runs, fresh)) = self.rush(due).await?;
        Ok(Report {
            runs,
            due,
            asleep_after_seconds,
            before,
            asleep,
            messages_per_second_before,
            messages_per_second_asleep,
            late,
            fresh_runs,
            fresh,
        })
    }

    /// Starts runs that sleep until a time.
    async fn sleepers(
        &self,
        name: &str,
        runs: usize,
        until: impl Fn(usize) -> Result<u64>,
    ) -> Result<Vec<StartedRun>> {
        let started = stream::iter(0..runs).map(|number| {
            let until = until(number);
            async move {
                let options = StartOptions::named(RunId::new(&format!("{name}-{number}"))?);
                Ok(self.client.publish_start("sleeper", &Until(until?), &options).await?)
            }
        });
        started.buffered(AT_ONCE).try_collect().await
    }

    /// Start messages are handled in their order: with the last one, all runs are asleep.
    async fn wait_until_asleep(&self, last: Option<&StartedRun>) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        let began = Instant::now();
        loop {
            ensure!(began.elapsed() < LOST * 5, "run {} does not fall asleep", last.key);
            match self.client.status(&last.key).await {
                Ok(status) if status.pending.iter().any(|node| node.sleeping > 0) => return Ok(()),
                Ok(_) | Err(_) => tokio::time::sleep(FRESH_EVERY).await,
            }
        }
    }

    async fn messages_per_second(&self, seconds: u64) -> Result<f64> {
        let (before, began) = (self.watch.messages().await?, Instant::now());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok((self.watch.messages().await? - before) as f64 / began.elapsed().as_secs_f64())
    }

    /// Many runs are due within one second, while fresh runs go on.
    async fn rush(&self, due: usize) -> Result<(Quantiles, (usize, Quantiles))> {
        let first = in_millis(Duration::from_secs(20 + due as u64 / 500))?;
        let rush = u64::try_from(RUSH.as_millis())?;
        let started =
            self.sleepers("rush", due, |number| Ok(first + number as u64 * rush / due as u64)).await?;
        self.wait_until_asleep(started.last()).await?;
        ensure!(in_millis(Duration::ZERO)? < first, "the runs were not asleep in time");
        let (late, fresh) = tokio::try_join!(self.lateness(started), self.fresh_runs(first))?;
        Ok((late, fresh))
    }

    async fn lateness(&self, started: Vec<StartedRun>) -> Result<Quantiles> {
        let mut late = Histogram::<u64>::new(3)?;
        let mut results = stream::iter(started)
            .map(|run| async move { self.client.result(&run, LOST).await })
            .buffer_unordered(AT_ONCE);
        while let Some(done) = results.try_next().await? {
            ensure!(
                done.status == Status::Completed,
                "run {} is {}: {:?}",
                done.run_id,
                done.status,
                done.error
            );
            let output = done.output.context("a run says how late it was")?;
            late.record(serde_json::from_str(output.get())?)?;
        }
        Ok(Quantiles::of(&late))
    }

    /// Short runs, one after the other, from before the rush until five seconds after it.
    async fn fresh_runs(&self, first: u64) -> Result<(usize, Quantiles)> {
        let mut times = Histogram::<u64>::new(3)?;
        let mut number = 0;
        while in_millis(Duration::ZERO)? < first + 5_000 {
            let began = Instant::now();
            if in_millis(Duration::ZERO)? + 1_000 > first {
                let run = self.sleepers(&format!("fresh{number}"), 1, |_| Ok(0)).await?;
                let run = run.first().context("a run was started")?;
                self.client.result(run, LOST).await?;
                times.record(u64::try_from(began.elapsed().as_millis())?)?;
                number += 1;
            }
            tokio::time::sleep(FRESH_EVERY.saturating_sub(began.elapsed())).await;
        }
        Ok((number, Quantiles::of(&times)))
    }
}

/// A time so far from now, in milliseconds since 1970. Server and benchmark share a machine, and so a clock.
fn in_millis(duration: Duration) -> Result<u64> {
    Ok(u64::try_from((SystemTime::now() + duration).duration_since(UNIX_EPOCH)?.as_millis())?)
}

impl Report {
    /// The figures with their names.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let times = |times: &Quantiles| format!("{} / {} / {} ms", times.p50_ms, times.p99_ms, times.most_ms);
        let (runs, due) = (self.runs, self.due);
        vec![
            (format!("{runs} runs asleep after"), format!("{:.1} s", self.asleep_after_seconds)),
            ("memory of the host without them".to_owned(), mib(self.before.host)),
            (format!("memory of the host with {runs} asleep"), mib(self.asleep.host)),
            ("memory of the server without them".to_owned(), mib(self.before.server)),
            (format!("memory of the server with {runs} asleep"), mib(self.asleep.server)),
            ("messages without them".to_owned(), format!("{:.2}/s", self.messages_per_second_before)),
            (format!("messages with {runs} asleep"), format!("{:.2}/s", self.messages_per_second_asleep)),
            (format!("{due} due in one second, late by p50 / p99 / most"), times(&self.late)),
            (format!("{} fresh runs meanwhile took p50 / p99 / most", self.fresh_runs), times(&self.fresh)),
        ]
    }
}
