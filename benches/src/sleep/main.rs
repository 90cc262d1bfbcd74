//! Many sleeping runs on one server: what they need while they sleep, and how late they wake.
//!
//! `cargo run --release -p jetway-benches --bin jetway-sleep -- --runs 100000`

#![expect(clippy::print_stdout, reason = "the figures are what the program is for")]

mod phases;
mod sleepers;
mod watch;

use anyhow::Result;
use clap::Parser;
use jetway::{Client, Host, NatsConfig};
use jetway_server::NatsServer;
use phases::{Bench, Report};
use watch::Watch;

/// As in the `jetway` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What sleeping runs need, and how late they wake.
#[derive(Debug, Parser)]
#[command(after_help = "Example: jetway-sleep --runs 100000 --due 10000")]
struct Args {
    /// How many runs sleep
    #[arg(long, default_value_t = 100_000)]
    runs: usize,
    /// How many runs, beside those, are due within one second
    #[arg(long, default_value_t = 10_000)]
    due: usize,
    /// How many seconds the messages are counted for while all sleep
    #[arg(long, default_value_t = 60)]
    quiet_seconds: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = NatsServer::builder().extra_config("http: \"127.0.0.1:-1\"").start().await?;
    let watch = Watch::new(&server)?;
    let namespace = jetway_testing::unique_namespace("sleep");
    let host = Host::builder().nats(&server.url()).namespace(&namespace).workflow(sleepers::sleeper());
    let host = host.build().await?.start().await?;
    let config = NatsConfig::new(server.url()).in_namespace(namespace.parse()?);
    let bench = Bench { client: Client::connect_with(config).await?, watch };
    let report = bench.run(args.runs, args.due, args.quiet_seconds).await?;
    print(&report, args.json)?;
    host.drain().await;
    Ok(())
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    for (name, value) in report.rows() {
        println!("{name:<60} {value:>16}");
    }
    Ok(())
}
