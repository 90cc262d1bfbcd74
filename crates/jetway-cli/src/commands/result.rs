//! `jetway result`: prints the output of a run.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_duration},
};
use clap::Args;
use jetway::{RunId, RunKey, WorkflowName, client::ClientError};
use std::time::Duration;

const AFTER_HELP: &str = "\
Prints the whole output as JSON, whatever its size, exactly as the workflow wrote it.
Results are kept for a week, unless the server is set up otherwise.

Examples:
  jetway result chain first
  jetway result corpus docs --wait=5m > report.json
  jetway result batch monday --output 3";

/// Print the output of a run
#[derive(Debug, Args)]
#[command(after_help = Exit::help(AFTER_HELP, &[Exit::RunFailed, Exit::NotFound, Exit::TimedOut]))]
pub(crate) struct ResultArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    /// Print this output of a run that has several, from 0, also while it runs [default: the first one, at the end]
    #[arg(long, value_name = "NUMBER", conflicts_with = "wait")]
    output: Option<usize>,

    /// Wait for the end of the run, for at most TIME [default: do not wait; without TIME: 30s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
          value_parser = parse_duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: ResultArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let run = RunKey::new(args.workflow, args.run);
    if let Some(number) = args.output {
        output::print(client.output(&run, number).await?.get())?;
        return Ok(Exit::Success);
    }
    match client.result(&run, args.wait.unwrap_or_default()).await {
        Err(late @ ClientError::TimedOut { .. }) => {
            // An error if there is no such run.
            let status = client.status(&run).await?.run.status;
            output::note(&format!("run {run} is {status}: wait for its end with --wait=TIME"));
            Err(late.into())
        }
        done => output::print_result(&done?, args.server.common.json),
    }
}
