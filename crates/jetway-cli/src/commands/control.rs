//! `jetway cancel`, `jetway pause`, `jetway resume`: tell a run to stop, to wait, to go on.

use crate::{args::ServerArgs, exit::Exit, output};
use clap::Args;
use jetway::{RunId, RunKey, WorkflowName, engine::Control};

const AFTER_HELP: &str = "\
Examples:
  jetway cancel chain first
  jetway pause chain first
  jetway resume chain first";

/// Which run.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ControlArgs {
    /// Name of the workflow
    workflow: WorkflowName,

    /// Id of the run
    run: RunId,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs one of the verbs.
pub(crate) async fn run(args: ControlArgs, control: Control) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let run = RunKey::new(args.workflow, args.run);
    let told = client.control(&run, control).await?;
    if args.server.common.json {
        output::json(&told)?;
    } else {
        let before = if told.changed { "" } else { " already" };
        output::data(&format!("run {run} is{before} {}\n", told.status))?;
    }
    Ok(Exit::Done)
}
