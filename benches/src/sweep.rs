//! How long a sweep over many live runs takes, after a doubt: with all their tickets, and with none.
//!
//! `cargo run --release -p jetway-benches --bin jetway-sweep -- --runs 100000`

#![expect(clippy::print_stdout, reason = "the figures are what the program is for")]

mod chain;

use anyhow::{Context, Result};
use chain::Chain10;
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use jetway_engine::{
    Engine, EngineConfig, Sweeper,
    backend::{Backend, StartRequest},
    memory::MemoryBackend,
};
use jetway_nats::{NatsBackend, NatsConfig};
use jetway_server::NatsServer;
use jetway_state::{
    codec::Encoding,
    run::{RunDeadline, StartTime},
    trace::TraceHeaders,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How many runs are started at once.
const AT_ONCE: usize = 512;

/// How long a round over all live runs takes, after tickets may have been lost.
#[derive(Debug, Parser)]
#[command(after_help = "Example: jetway-sweep --runs 100000")]
struct Args {
    /// How many live runs there are
    #[arg(long, default_value_t = 100_000)]
    runs: usize,
    /// In memory, without a server
    #[arg(long)]
    memory: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.memory {
        return measure(Arc::new(MemoryBackend::new()), args.runs).await.map(drop);
    }
    let server = NatsServer::start().await?;
    let backend = Arc::new(NatsBackend::connect(NatsConfig::new(server.url())).await?);
    let engine = measure(backend, args.runs).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let tickets = jetstream.get_stream("JETWAY_default_WORK").await?;
    tickets.purge().await?;
    round(&engine, "all tickets lost", args.runs).await
}

async fn measure(backend: Arc<dyn Backend>, runs: usize) -> Result<Engine> {
    let config = EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() };
    let engine = Engine::builder(backend).config(config).workflow(Chain10::new(100)).build()?;
    let began = Instant::now();
    stream::iter(0..runs)
        .map(|number| engine.start(request(number)))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_run| async { Ok(()) })
        .await
        .context("a run is not started")?;
    println!("{runs} runs started in {:.1} s", began.elapsed().as_secs_f64());
    round(&engine, "all tickets there", runs).await?;
    Ok(engine)
}

/// Sweeps until every run was checked.
async fn round(engine: &Engine, what: &str, runs: usize) -> Result<()> {
    let mut sweeper = Sweeper::default();
    let now = engine.clock().now();
    sweeper.suspect_loss(now, now);
    let (mut checked, mut republished, mut sweeps) = (0, 0, 0);
    let began = Instant::now();
    while checked < runs as u64 {
        let report = engine.sweep(&mut sweeper).await?;
        checked += report.runs_checked;
        republished += report.republished;
        sweeps += 1;
    }
    println!(
        "{what}: {checked} runs checked, {republished} tickets published again, in {sweeps} sweeps and {:.1} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn request(number: usize) -> StartRequest {
    StartRequest {
        workflow: "chain10".to_owned(),
        run_id: format!("r{number}"),
        input: "0".into(),
        encoding: Encoding::Json,
        trace: TraceHeaders::default(),
        start_time: StartTime::Now,
        deadline: RunDeadline::OfWorkflow,
    }
}
