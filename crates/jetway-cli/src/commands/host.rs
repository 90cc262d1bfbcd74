//! `jetway host`: serves the workflows of this program.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_wait},
    workflows::{chain::chain, corpus::corpus},
};
use clap::Args;
use jetway::Host;
use std::time::Duration;

const AFTER_HELP: &str = "\
It waits for its server, and runs until SIGTERM or Ctrl-C; it then takes no new work and gives back what it has not \
finished when the time is up. A host with workflows of your own is ten lines: see the crate `jetway`.

Example:
  jetway host --nats nats://127.0.0.1:4222 --concurrency 64";

/// Serve the workflows `chain` and `corpus`
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HostArgs {
    /// How many steps of each workflow run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,

    /// How long steps may go on after the host was told to stop
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_wait)]
    drain_within: Duration,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: HostArgs) -> anyhow::Result<Exit> {
    let mut builder = Host::builder()
        .nats_config(args.server.config())
        .workflow(chain())
        .workflow(corpus())
        .drain_within(args.drain_within);
    if let Some(concurrency) = args.concurrency {
        builder = builder.concurrency(concurrency);
    }
    let host = builder.build().await?;
    if args.server.common.json {
        output::json(host.facts())?;
    }
    host.run().await?;
    Ok(Exit::Done)
}
