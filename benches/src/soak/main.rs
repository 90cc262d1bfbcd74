//! The soak: does the memory of a host stay flat under an hour of mixed load?
//!
//! `cargo run --release -p jetway-benches --bin jetway-soak -- --minutes 60 --rate 100`

mod host;
mod load;
mod mixed;
mod report;

use anyhow::{Context, Result};
use cap::Cap;
use clap::{Parser, Subcommand};
use host::{HostArgs, HostProcess};
use jetway_server::NatsServer;
use load::Load;
use report::{Memory, Report};
use std::{alloc::System, process::ExitCode, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// Counts what is allocated, which tells memory that is in use from memory that the allocator keeps.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const MINUTE: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
The host is a process of its own, so that its memory is its own. Each run scatters, gathers and goes on in a chain; every \
tenth has 20 branches, every fourth carries 4 KiB from node to node, every twentieth fails.

Exit codes: 0 the memory is flat, 1 the soak itself failed (a lost run, a wrong result), 3 the memory grew.

Example:
  jetway-soak --minutes 60 --rate 100 --json";

/// The memory of a host under load, minute by minute
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// How many runs are started in a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// The minute after which the host's memory is to be flat; the last but one where the soak is shorter
    #[arg(long, value_name = "MINUTE", default_value_t = 5)]
    warm_up: u32,
    /// By how many MiB the host's memory may grow after that
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    most_growth: u64,
    /// How many seconds finished runs and results are kept on the server
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    keep: u64,
    /// A server to use; one is started with the repository's nats.conf (every write synced) where none is given
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// What the soak starts as a process of its own
    #[command(hide = true)]
    Host(HostArgs),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Part::Host(args)) = args.part {
        host::serve(args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let server = match args.nats {
        Some(_) => None,
        None => Some(NatsServer::start().await?),
    };
    let url = match (&args.nats, &server) {
        (Some(url), _) => url.clone(),
        (None, Some(server)) => server.url(),
        (None, None) => anyhow::bail!("there is no server"),
    };
    let flat = soak(&args, &url, server.as_ref().and_then(NatsServer::pid)).await?;
    Ok(if flat { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Says whether the memory stayed flat.
async fn soak(args: &Args, url: &str, server: Option<u32>) -> Result<bool> {
    let namespace = jetway_testing::unique_namespace("soak");
    let mut host = HostProcess::start(&HostArgs {
        nats: url.to_owned(),
        namespace: namespace.clone(),
        keep: args.keep,
    })?;
    let mut load = Load::connect(url, &namespace, args.rate).await?;
    let mut report = Report::new(args.json, args.warm_up.min(args.minutes - 1), args.most_growth);
    let mut memory = async || -> Result<Memory> {
        let heap = host.heap().await?;
        let host = host.pid().and_then(jetway_testing::resident_bytes).context("the host has ended")?;
        Ok(Memory { host, heap, server: server.and_then(jetway_testing::resident_bytes) })
    };
    report.minute(load.tally(), memory().await?)?;
    let mut minute = tokio::time::interval_at(Instant::now() + MINUTE, MINUTE);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..args.minutes {
        load.until(minute.tick()).await?;
        report.minute(load.tally(), memory().await?)?;
    }
    load.finish().await?;
    report.summary(load.tally())
}
