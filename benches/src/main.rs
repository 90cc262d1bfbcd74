//! The load generator: many runs of a ten-node chain against a real server, beside what the bare server does.
//!
//! `cargo run --release -p jetway-benches -- --runs 4096 --in-flight 512`

mod bare;
mod chain;
mod load;
mod report;

use anyhow::Result;
use bare::Publisher;
use chain::Chain10;
use clap::Parser;
use jetway::Host;
use jetway_server::NatsServer;
use load::{Load, Start};
use report::Report;

/// As in the `jetway` command: a step makes many small allocations, and with the usual allocator
/// host and server together need 8 % more time for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much Jetway can do: steps per second and the time of a run, and the bare server's own figures beside it.
#[derive(Debug, Parser)]
#[command(after_help = "Example: jetway-load --runs 4096 --in-flight 512 --context-bytes 400")]
struct Args {
    /// How many runs of ten steps
    #[arg(long, default_value_t = 4096)]
    runs: usize,
    /// How many of them at once
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// The size of the context
    #[arg(long, default_value_t = 400)]
    context_bytes: usize,
    /// How many runs one after the other, for the time of an idle run
    #[arg(long, default_value_t = 200)]
    idle_runs: usize,
    /// How runs are started; again for another way
    #[arg(long, value_enum, default_values_t = [Start::Message, Start::Client, Start::Request])]
    start: Vec<Start>,
    /// A server to use; one is started with the repository's nats.conf (every write synced) where none is given
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Start the server without a sync for each write
    #[arg(long, conflicts_with = "nats")]
    lazy_sync: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = match &args.nats {
        Some(_) => None,
        None if args.lazy_sync => Some(NatsServer::builder().config(LAZY).start().await?),
        None => Some(NatsServer::start().await?),
    };
    let url = match (&args.nats, &server) {
        (Some(url), _) => url.clone(),
        (None, Some(server)) => server.url(),
        (None, None) => anyhow::bail!("there is no server"),
    };
    let report = measure(&args, &url).await?;
    report.print(args.json)
}

/// The server's own defaults: a write is acknowledged before it is synced.
const LAZY: &str = "jetstream { }\n";

async fn measure(args: &Args, url: &str) -> Result<Report> {
    let namespace = jetway_testing::unique_namespace("load");
    let bare_before = bare::measure(url, &namespace, args.context_bytes).await?;
    let host = Host::builder()
        .nats(url)
        .namespace(&namespace)
        .workflow(Chain10::new(args.context_bytes))
        .concurrency(args.in_flight)
        .build()
        .await?
        .start()
        .await?;
    let mut load = Load::connect(url, &namespace).await?;
    let publisher = Publisher::new(url, &namespace, args.context_bytes).await?;
    load.one_by_one(20, &publisher).await?;
    let idle = load.one_by_one(args.idle_runs, &publisher).await?;
    publisher.remove().await?;
    let mut busy = Vec::new();
    for start in args.start.iter().copied() {
        // What the committers measure of the server is theirs to find out before, not while they are measured.
        load.at_once(start, args.runs / 2, args.in_flight).await?;
        busy.push((start, load.at_once(start, args.runs, args.in_flight).await?));
    }
    host.drain().await;
    // Again, since a shared machine has other things to do now and then.
    let bare_after = bare::measure(url, &namespace, args.context_bytes).await?;
    Ok(Report::new(args.runs, args.in_flight, [bare_before, bare_after], idle, busy))
}
