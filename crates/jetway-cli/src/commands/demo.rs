//! `jetway demo`: shows what Jetway does, on a machine with nothing installed.

mod report;

use crate::{
    args::CommonArgs,
    exit::Exit,
    local::{Local, LocalArgs},
    output::{self, FileProgress},
    workflows::corpus::{CorpusInput, CorpusReport},
};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client,
    client::{ClientError, StartOptions},
    run::{DoneView, Status},
};
use std::{path::PathBuf, pin::pin, time::Duration};
use tokio::time::MissedTickBehavior;

const AFTER_HELP: &str = "\
It starts a nats-server of its own (installing one where there is none) and a host in this process, starts a run of the \
workflow `corpus`, and stops everything again.

Example: what is in the files below this directory?
  jetway demo . --top 10";

/// How often the progress is asked for.
const EVERY: Duration = Duration::from_millis(200);
/// How long the run may take.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Run the workflow `corpus` on a directory: count what is in every file, and show a report
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoArgs {
    /// Directory to read
    path: PathBuf,

    /// How many terms and files the report names
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    #[command(flatten)]
    local: LocalArgs,

    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<Exit> {
    let path = args.path.canonicalize().with_context(|| format!("cannot read {}", args.path.display()))?;
    let local = Local::start(&args.local, &args.common, None).await?;
    output::say(&local.to_string());
    let input = CorpusInput { path, top: args.top };
    let done = tokio::select! {
        done = run_corpus(local.client(), &input) => done,
        stopped = local.stopped_early() => Err(stopped),
    };
    local.stop().await?;
    show(&done?, args.common.json)
}

/// Starts a run as any client would, shows how far it is, and returns its result.
async fn run_corpus(client: &Client, input: &CorpusInput) -> anyhow::Result<DoneView> {
    let run = client.publish_start("corpus", input, &StartOptions::default()).await?;
    output::say(&format!("run {run}: reading the files below {}", input.path.display()));
    let progress = FileProgress::new()?;
    let mut result = pin!(client.result(&run, LONGEST));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        tokio::select! {
            ended = &mut result => break ended,
            _ = ticks.tick() => match client.status(&run).await {
                Ok(status) => progress.show(&status)?,
                // The start message is on its way, or the server is busy: neither ends the run.
                Err(error) if error.is_retryable() || matches!(error, ClientError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            },
        }
    };
    progress.end();
    Ok(result?)
}

fn show(done: &DoneView, json: bool) -> anyhow::Result<Exit> {
    let (Status::Completed, Some(output)) = (done.status, &done.output) else {
        output::run_failed(done);
        return Ok(Exit::RunFailed);
    };
    if json {
        output::json(output)?;
    } else {
        let report: CorpusReport =
            serde_json::from_value(output.clone()).context("the output of the run is not a corpus report")?;
        output::data(&report::render(&report, done))?;
    }
    Ok(Exit::Done)
}
