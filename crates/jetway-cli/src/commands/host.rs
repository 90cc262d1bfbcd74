//! `jetway host`: a host that serves the workflows of this program.

use crate::{
    args::{ReplicasArgs, ServerArgs, parse_concurrency},
    exit::Exit,
    output::{self, parse_duration},
    workflows::{
        chain::chain,
        corpus::{CorpusArgs, corpus},
        nap::nap,
        order::order,
    },
};
use clap::Args;
use jetway::Host;
use std::time::Duration;

const AFTER_HELP: &str = "\
Waits for the server, then runs until SIGTERM or Ctrl-C. It then accepts no new work and
waits for running steps; steps that do not finish in time are given back to other hosts.
To serve your own workflows, see `jetway::Host`.

Example:
  jetway host --nats nats://127.0.0.1:4222 --concurrency 64";

/// Run a host that serves the workflows `chain`, `nap` and `order`, and `corpus` with --corpus-root
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[]))]
pub(crate) struct HostArgs {
    /// Maximum number of concurrent steps per workflow [default: 256]
    #[arg(long, value_name = "N", value_parser = parse_concurrency)]
    concurrency: Option<usize>,

    /// How long running steps may take to finish after SIGTERM or Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_duration,
          allow_hyphen_values = true)]
    drain_within: Duration,

    #[command(flatten)]
    replicas: ReplicasArgs,

    #[command(flatten)]
    corpus: CorpusArgs,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: HostArgs) -> anyhow::Result<Exit> {
    let mut config = args.server.config()?;
    config.replicas = args.replicas.number()?;
    let builder = Host::builder().nats_config(config).workflow(chain()).workflow(nap()).workflow(order());
    let mut builder = builder.drain_within(args.drain_within);
    match args.corpus.root()? {
        Some(root) => builder = builder.workflow(corpus(root)),
        None => output::note(
            "workflow `corpus` is not served: --corpus-root DIR names the directory whose files it may read",
        ),
    }
    if let Some(concurrency) = args.concurrency {
        builder = builder.concurrency(concurrency);
    }
    let host = builder.build().await?;
    if args.server.common.json {
        output::print_json(host.facts())?;
    }
    host.run().await?;
    Ok(Exit::Success)
}
