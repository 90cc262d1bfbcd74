//! `jetway demo`: runs a workflow on a directory, with a server and a host in this process.

mod report;

use crate::{
    args::CommonArgs,
    exit::Exit,
    local::{Local, LocalArgs, ServerPlan},
    output::{self, FileProgress, TableArgs, Tables},
    workflows::corpus::{CorpusInput, CorpusReport, CorpusRoot},
};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client,
    client::{ClientError, DoneView, StartOptions, Status},
};
use std::{path::PathBuf, pin::pin, time::Duration};
use tokio::time::MissedTickBehavior;

const AFTER_HELP: &str = "\
Starts a nats-server and a host in this process, starts a run of the workflow `corpus`,
prints its report, and stops both. Installs nats-server into a cache directory if it is
not found.

Examples:
  jetway demo .
  jetway demo /usr/share/doc --top 10 --json";

/// The interval at which the status of the run is read for the progress bar.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long the run may take.
const RUN_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Analyse all files below a directory: lines, words and terms, with a temporary server
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::RunFailed, Exit::TimedOut]))]
pub(crate) struct DemoArgs {
    /// Directory to analyse
    path: PathBuf,

    /// Number of terms and of files in the report
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    local: LocalArgs,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<Exit> {
    let path = args.path.canonicalize().with_context(|| format!("cannot read {}", args.path.display()))?;
    let root = CorpusRoot::open(&path)?;
    let local = Local::start(&args.local, &args.common, ServerPlan::default(), Some(root)).await?;
    output::note(&local.to_string());
    let input = CorpusInput { path, top: args.top };
    let done = tokio::select! {
        done = run_corpus(local.client(), &input) => done,
        interrupted = local.interrupted() => Err(interrupted),
    };
    local.stop().await?;
    print_report(&done?, args.common.json, args.table)
}

/// Starts a run as any client can, shows its progress, and returns its result.
async fn run_corpus(client: &Client, input: &CorpusInput) -> anyhow::Result<DoneView> {
    let run = client.publish_start("corpus", input, &StartOptions::default()).await?;
    output::note(&format!("run {run} analyses the files below {}", input.path.display()));
    let progress = FileProgress::new()?;
    let mut result = pin!(client.result(&run, RUN_LIMIT));
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        tokio::select! {
            result = &mut result => break result,
            _ = ticks.tick() => match client.status(&run).await {
                Ok(status) => progress.show(&status)?,
                // The start message is not processed yet, or the server is busy. The run is not affected.
                Err(error) if error.is_retryable() || matches!(error, ClientError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            },
        }
    };
    progress.finish();
    Ok(result?)
}

fn print_report(done: &DoneView, json: bool, table: TableArgs) -> anyhow::Result<Exit> {
    let (Status::Completed, Some(output)) = (done.status, &done.output) else {
        output::print_run_failed(done);
        return Ok(Exit::RunFailed);
    };
    if json {
        output::print_json(output)?;
    } else {
        let report: CorpusReport = output.read().context("the output of the run is not a corpus report")?;
        let tables = Tables::new(table);
        output::print(&report::render(&tables, &report, done))?;
        tables.finish();
    }
    Ok(Exit::Success)
}
