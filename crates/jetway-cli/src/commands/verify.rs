//! `jetway verify` runs random workflows under injected faults; `jetway verify-host` is a host that it starts.

mod report;

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, TableArgs, Tables},
};
use clap::Args;
use jetway_verify::{HostCommand, Options, Progress};
use std::{env, path::PathBuf, time::Duration};

const AFTER_HELP: &str = "\
Runs thousands of random workflows on three hosts while injecting faults, and checks
every run against a reference model. The faults: it kills, pauses, disconnects and slows
down hosts and server, deletes or duplicates tickets, deletes timers, sets wrong clocks,
and starts runs under ids that were used before. It stops at the first violation and prints the run, its
workflow, its record and the logs.

Starts its own nats-server and installs it into a cache directory if it is not found.
The seed determines the workflows and the faults, but not the exact timing, so the same
seed may not reproduce a violation.

Examples:
  jetway verify
  jetway verify --minutes 5 --seed 42
  jetway verify --phase used-ids";

const HOST_AFTER_HELP: &str = "\
`jetway verify` starts this command; it is of no other use.

Example:
  jetway verify-host --nats nats://127.0.0.1:4222 --namespace verify0 --journal /tmp/journal";

/// Test durability: run random workflows while injecting faults
#[derive(Debug, Args)]
#[command(after_help = Exit::help(AFTER_HELP, &[Exit::VerificationFailed]))]
pub(crate) struct VerifyArgs {
    /// Seed of the workflows and faults [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Maximum number of runs [default: no limit]
    #[arg(long, value_name = "N")]
    runs: Option<u64>,

    /// Duration in minutes; a phase that has started is finished
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    minutes: f64,

    /// Repeat only this phase [default: all in turn]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(jetway_verify::phases()))]
    phase: Option<String>,

    /// Number of hosts
    #[arg(long, value_name = "N", default_value_t = 3)]
    hosts: usize,

    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    table: TableArgs,
}

/// Run a host for `jetway verify`
#[derive(Debug, Args)]
#[command(hide = true, after_help = Exit::connection_help(HOST_AFTER_HELP, &[]))]
pub(crate) struct HostArgs {
    /// File to which every execution of a node is appended
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs `jetway verify`.
pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<Exit> {
    let options = Options {
        seed: args.seed.unwrap_or_else(rand::random),
        runs: args.runs.unwrap_or(u64::MAX),
        time: Duration::try_from_secs_f64(args.minutes * 60.0)?,
        phase: args.phase,
        hosts: args.hosts.max(1),
        host: HostCommand { program: env::current_exe()?, arguments: vec!["verify-host".into()] },
    };
    output::note(&format!("seed {0}; repeat with `jetway verify --seed {0}`", options.seed));
    let bar = output::PhaseProgress::new(options.time)?;
    let show = |Progress { phase, summary }: Progress<'_>| {
        let (number, runs, steps) = (summary.phases + 1, summary.runs, summary.steps);
        bar.show(&format!("phase {number} ({phase}): {runs} runs, {steps} steps so far"), summary.seconds);
    };
    let summary = jetway_verify::verify(options, show).await?;
    bar.finish();
    if args.json {
        output::print_json(&summary)?;
    } else {
        let tables = Tables::new(args.table);
        output::print(&report::render(&tables, &summary))?;
        tables.finish();
    }
    Ok(if summary.is_clean() { Exit::Success } else { Exit::VerificationFailed })
}

/// Runs `jetway verify-host`.
pub(crate) async fn serve(args: HostArgs) -> anyhow::Result<Exit> {
    let HostArgs { journal, server } = args;
    let servers = server.config()?.servers.to_string();
    jetway_verify::serve(&servers, server.common.namespace, &journal).await?;
    Ok(Exit::Success)
}
