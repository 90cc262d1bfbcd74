//! `jetway retry`: tries items again that wait for a person.

use crate::{args::ServerArgs, exit::Exit, output};
use clap::Args;
use jetway::{ItemId, RunId, RunKey, WorkflowName};

const AFTER_HELP: &str = "\
An item waits for a person when its attempts are used up and its retry policy says so
(exhausted = pause). `jetway status` shows these items, with their errors. They count their
attempts from anew. Needs a running host.

Examples:
  jetway retry chain first
  jetway retry chain first start";

/// Try items of a run again that wait for a person
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::NotFound]))]
pub(crate) struct RetryArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    /// Item id, as `jetway status` shows it; without one, all items that wait for a person
    item: Option<ItemId>,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: RetryArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let run = RunKey::new(args.workflow, args.run);
    let answer = client.retry(&run, args.item).await?;
    if args.server.common.json {
        output::print_json(&answer)?;
        return Ok(Exit::Success);
    }
    let items = match answer.items.len() {
        1 => "1 item is".to_owned(),
        items => format!("{} items are", output::count(items as u64)),
    };
    output::print_text(&format!("{items} tried again; run {run} is {}\n", answer.status))?;
    Ok(Exit::Success)
}
