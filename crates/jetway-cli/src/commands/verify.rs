//! `jetway verify`: random programs under random faults, and `jetway verify-host`: the process that is broken.

mod report;

use crate::{args::ServerArgs, exit::Exit, output};
use clap::Args;
use jetway_verify::{HostCommand, Options, Progress};
use std::{env, path::PathBuf, time::Duration};

const AFTER_HELP: &str = "\
It starts a nats-server of its own (installing one where there is none) and three hosts, starts runs of random programs, \
and meanwhile kills, stops, cuts off and slows down hosts and server, and takes tickets away or doubles them. Every run is \
held against a model that knows what must come of it. It stops at the first run that is not as it must be, and then tells \
everything about it.

The seed decides the programs and the faults; when exactly a fault hits, the machine decides as well, so that the same seed \
need not find the same thing twice.

Example: five minutes, with a fresh seed
  jetway verify --minutes 5";

const HOST_AFTER_HELP: &str = "\
Started by `jetway verify`.

Example:
  jetway verify-host --nats nats://127.0.0.1:4222 --namespace verify0 --journal /tmp/journal";

/// Prove the promises: random programs under crashes, cut connections and lost messages
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    /// Where the random programs and faults come from; a fresh one where none is given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Start no more runs than this
    #[arg(long, value_name = "N")]
    runs: Option<u64>,

    /// Begin nothing new after so many minutes
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    minutes: f64,

    /// Repeat only this phase [default: all in turn]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(jetway_verify::phases()))]
    phase: Option<String>,

    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 3)]
    hosts: usize,

    /// Print one JSON document instead of text for people
    #[arg(long)]
    json: bool,
}

/// Serve the workflows of `jetway verify`
#[derive(Debug, Args)]
#[command(hide = true, after_help = HOST_AFTER_HELP)]
pub(crate) struct HostArgs {
    /// File that every execution of a node is noted in
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,

    #[command(flatten)]
    server: ServerArgs,
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
    output::say(&format!("seed {}: again with `jetway verify --seed {}`", options.seed, options.seed));
    let bar = output::ActProgress::new(options.time)?;
    let told = |Progress { phase, summary }: Progress<'_>| {
        let (number, runs, steps) = (summary.phases + 1, summary.runs, summary.steps);
        bar.show(&format!("phase {number} ({phase}): {runs} runs, {steps} steps so far"), summary.seconds);
    };
    let summary = jetway_verify::verify(options, told).await?;
    bar.end();
    if args.json {
        output::json(&summary)?;
    } else {
        output::data(&report::render(&summary))?;
    }
    Ok(if summary.is_clean() { Exit::Done } else { Exit::Broken })
}

/// Runs `jetway verify-host`.
pub(crate) async fn serve(args: HostArgs) -> anyhow::Result<Exit> {
    let HostArgs { journal, server } = args;
    jetway_verify::serve(&server.nats, server.common.namespace, &journal).await?;
    Ok(Exit::Done)
}
