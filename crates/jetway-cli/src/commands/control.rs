//! `jetway cancel`, `jetway terminate`, `jetway pause` and `jetway resume`.

use crate::{args::ServerArgs, exit::Exit, output};
use clap::Args;
use jetway::{RunId, RunKey, WorkflowName, client::Control};

pub(super) const CANCEL_HELP: &str = "\
Steps that have not started do not run any more, and running steps are asked to stop.
If the workflow has `on_cancel` edges, its clean-up runs first: until then the run is
cancelling. Without them it ends at once, and the results of running steps are
discarded. A cancelled run cannot be resumed. Needs a running host.

Example:
  jetway cancel chain first";

pub(super) const TERMINATE_HELP: &str = "\
Ends the run at once, without its clean-up, or in the middle of it. Interrupts running
steps and discards their results. Needs a running host.

Example:
  jetway terminate chain first";

pub(super) const PAUSE_HELP: &str = "\
Needs a running host.

Example:
  jetway pause chain first";

pub(super) const RESUME_HELP: &str = "\
Needs a running host.

Example:
  jetway resume chain first";

/// The run to control.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Sends the command to a host and prints the new status of the run.
pub(crate) async fn run(args: ControlArgs, control: Control) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let run = RunKey::new(args.workflow, args.run);
    let answer = client.control(&run, control).await?;
    if args.server.common.json {
        output::print_json(&answer)?;
    } else {
        let unchanged = if answer.changed { "" } else { " already" };
        output::print_text(&format!("run {run} is{unchanged} {}\n", answer.status))?;
    }
    Ok(Exit::Success)
}
