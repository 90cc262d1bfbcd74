//! Signals at a steady rate to runs that wait for them: how long each takes, from its sender to the end of the step that takes it.
//!
//! `cargo run --release -p jetway-benches --bin jetway-signals -- --rate 1000`

#![expect(clippy::print_stdout, reason = "the figures are what the program is for")]

mod listener;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use jetway::{
    Client, Host, NatsConfig, RunId,
    client::{SignalOptions, StartOptions, StartedRun, Status},
};
use jetway_server::NatsServer;
use listener::{Listen, Sent};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// As in the `jetway` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many runs are started, or waited for, at once.
const AT_ONCE: usize = 256;
/// A run that takes longer than this after its last signal is lost.
const LOST: Duration = Duration::from_secs(120);
/// How often signals are sent: those that are due since the last time.
const TICK: Duration = Duration::from_millis(5);

/// How many signals a second runs can take.
#[derive(Debug, Parser)]
#[command(after_help = "Example: jetway-signals --runs 200 --each 100 --rate 1000")]
struct Args {
    /// How many runs wait for signals
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// How many signals each run takes, one after the other
    #[arg(long, default_value_t = 100)]
    each: usize,
    /// How many signals are sent in a second; 0: as fast as they are stored
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The figures. Times are in milliseconds.
#[derive(Debug, serde::Serialize)]
struct Report {
    signals: usize,
    sent_per_second: f64,
    taken_per_second: f64,
    p50_ms: u64,
    p99_ms: u64,
    most_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = NatsServer::builder().start().await?;
    let namespace = jetway_testing::unique_namespace("signals");
    let times = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    let listener = listener::listener(Listen { times: Arc::clone(&times) });
    let host = Host::builder().nats(&server.url()).namespace(&namespace).workflow(listener);
    let host = host.build().await?.start().await?;
    let client = Client::connect_with(NatsConfig::new(server.url()).in_namespace(namespace.parse()?)).await?;
    let (sent_in, taken_in) = load(&client, &args).await?;
    let signals = args.runs * args.each;
    let times = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(
        times.len() == signals as u64,
        "{} of {signals} signals were taken in one attempt each",
        times.len()
    );
    let (per_second, at) =
        (|time: Duration| signals as f64 / time.as_secs_f64(), |q| times.value_at_quantile(q));
    print(
        &Report {
            signals,
            sent_per_second: per_second(sent_in),
            taken_per_second: per_second(taken_in),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            most_ms: times.max(),
        },
        args.json,
    )?;
    host.drain().await;
    Ok(())
}

/// Starts the runs and sends the signals. Returns how long it took to send them, and until all runs have ended.
async fn load(client: &Client, args: &Args) -> Result<(Duration, Duration)> {
    let runs: Vec<StartedRun> = stream::iter(0..args.runs)
        .map(|number| async move {
            let options = StartOptions::named(RunId::new(&format!("listener-{number}"))?);
            Ok::<_, anyhow::Error>(client.publish_start("listener", &args.each, &options).await?)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    stream::iter(&runs)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |run| wait_until_it_listens(client, run))
        .await?;
    let began = Instant::now();
    let due = due_signals(args.runs * args.each, args.rate);
    let send = due.map(|number| {
        let (run, options) = (&runs[number % runs.len()], SignalOptions::with_id(number.to_string()));
        async move {
            client
                .publish_signal(&run.key, "heard", &Sent::now()?, &options)
                .await
                .map_err(anyhow::Error::from)
        }
    });
    send.buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
    let sent_in = began.elapsed();
    let results = stream::iter(runs).map(|run| async move { client.result(&run, LOST).await });
    let mut results = results.buffer_unordered(AT_ONCE);
    while let Some(done) = results.try_next().await? {
        ensure!(done.status == Status::Completed, "run {} is {}: {:?}", done.run_id, done.status, done.error);
    }
    Ok((sent_in, began.elapsed()))
}

/// The numbers of the signals, each when it is due.
fn due_signals(signals: usize, rate: u64) -> impl stream::Stream<Item = usize> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let due = move || match rate {
        0 => signals,
        rate => (began.elapsed().as_millis() as usize * rate as usize / 1_000).min(signals),
    };
    let batches = stream::unfold((0, ticks), move |(sent, mut ticks)| async move {
        if sent == signals {
            return None;
        }
        ticks.tick().await;
        let until = due();
        Some((stream::iter(sent..until), (until, ticks)))
    });
    batches.flatten()
}

async fn wait_until_it_listens(client: &Client, run: &StartedRun) -> Result<()> {
    let waits = async || {
        let status = client.status(&run.key).await;
        status.is_ok_and(|status| !status.waits.is_empty())
    };
    jetway_testing::try_wait_until("a run waits for a signal", LOST, waits)
        .await
        .context("the runs do not wait")
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let Report { signals, sent_per_second, taken_per_second, p50_ms, p99_ms, most_ms } = report;
    println!("{signals} signals sent          {sent_per_second:>10.0}/s");
    println!("taken by their runs            {taken_per_second:>10.0}/s");
    println!("from sender to step, p50 / p99 / most  {p50_ms} / {p99_ms} / {most_ms} ms");
    Ok(())
}
