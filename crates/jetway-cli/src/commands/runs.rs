//! `jetway runs`: lists runs.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, count, table},
};
use clap::Args;
use jetway::{
    WorkflowName,
    client::{RunSummary, RunsQuery, UnreadableRun},
    run::Status,
};

const AFTER_HELP: &str = "\
Example: the runs of the workflow `corpus` that failed
  jetway runs --workflow corpus --status failed";

/// List runs
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RunsArgs {
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,

    /// Only runs that stand so: running, paused, completed, failed or cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// Go on where the last page ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: RunsArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let RunsArgs { workflow, status, limit, after, .. } = args;
    let page = client.runs(&RunsQuery { workflow, status, limit, after }).await?;
    if args.server.common.json {
        output::json(&page)?;
        return Ok(Exit::Done);
    }
    output::data(&render(&page.runs))?;
    for UnreadableRun { error, .. } in &page.unreadable {
        output::say(error);
    }
    if let Some(next) = page.next {
        output::say(&format!("there are more: --after {next}"));
    }
    Ok(Exit::Done)
}

fn render(runs: &[RunSummary]) -> String {
    let columns = [
        Column::Left("WORKFLOW"),
        Column::Left("RUN"),
        Column::Left("STATUS"),
        Column::Right("STEPS"),
        Column::Right("PENDING"),
        Column::Left("STARTED"),
        Column::Right("TOOK"),
    ];
    let rows = runs.iter().map(|run| {
        vec![
            run.workflow.to_string(),
            run.run_id.to_string(),
            run.status.to_string(),
            count(run.steps),
            count(run.pending as u64),
            run.started_at.clone(),
            output::took(&run.started_at, run.finished_at.as_deref()).unwrap_or_default(),
        ]
    });
    table(&columns, rows)
}
