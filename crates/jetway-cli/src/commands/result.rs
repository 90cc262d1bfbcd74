//! `jetway result`: prints the output of a run.

use super::waiting::{Waited, go_on, interrupted, say_how_to_go_on, wait_for};
use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_duration},
};
use clap::Args;
use jetway::{RunId, RunKey, WorkflowName, client::ClientError};
use std::time::Duration;
use tokio::time::timeout;

/// How long the command asks, after Ctrl-C, whether there is such a run.
const ASK_WITHIN: Duration = Duration::from_secs(2);

const AFTER_HELP: &str = "\
Prints the whole output as JSON, whatever its size, exactly as the workflow wrote it.
Results are kept for a week, unless the server is set up otherwise.

Examples:
  jetway result chain first
  jetway result corpus docs --wait 5m > report.json
  jetway result batch monday --output 3";

/// Print the output of a run
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::RunFailed, Exit::NotFound, Exit::TimedOut, Exit::Interrupted]))]
pub(crate) struct ResultArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    /// Print this output of a run that has several, from 0, also while it runs [default: the first one, at the end]
    #[arg(long, value_name = "NUMBER", conflicts_with = "wait")]
    output: Option<usize>,

    /// Wait for the end of the run, for at most TIME [default: do not wait; without TIME: 30s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "30s",
          value_parser = parse_duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: ResultArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let run = RunKey::new(args.workflow, args.run);
    if let Some(number) = args.output {
        output::print(client.output(&run, number).await?.get())?;
        return Ok(Exit::Success);
    }
    let json = args.server.common.json;
    let Some(wait) = args.wait else {
        return match client.result(&run, Duration::ZERO).await {
            Err(late @ ClientError::TimedOut { .. }) => {
                // An error if there is no such run.
                let status = client.status(&run).await?.run.status;
                output::note(&format!("run {run} is {status}. {}", go_on(&run, &args.server)));
                Err(late.into())
            }
            done => output::print_result(&done?, json),
        };
    };
    match wait_for(&client, &run, &run, wait, jetway::shutdown_requested()).await {
        Err(late) if Exit::of(&late) == Exit::TimedOut => {
            match client.status(&run).await {
                // The run may still begin.
                Err(waits @ ClientError::NoHost { .. }) => output::note(&waits.to_string()),
                // An error if there is no such run.
                status => {
                    status?;
                }
            }
            say_how_to_go_on(&late, &run, &args.server);
            Err(late)
        }
        Ok(Waited::Done(done)) => output::print_result(&done, json),
        Ok(Waited::Interrupted) => match timeout(ASK_WITHIN, client.status(&run)).await {
            Ok(Err(ClientError::NotFound { message })) => {
                output::print_failure(&format!("interrupted: {message}"), Exit::Interrupted);
                Ok(Exit::Interrupted)
            }
            // What is not known in time is not said otherwise.
            _ => Ok(interrupted(&run, &args.server)),
        },
        Err(error) => Err(error),
    }
}
