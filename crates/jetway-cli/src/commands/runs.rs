//! `jetway runs`: lists runs.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, count, table},
};
use clap::Args;
use jetway::{
    WorkflowName,
    client::{RunSummary, RunsQuery, Status, UnreadableRun},
};

const AFTER_HELP: &str = "\
Examples:
  jetway runs
  jetway runs --workflow corpus --status failed";

/// List runs
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[]))]
pub(crate) struct RunsArgs {
    /// Filter by workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,

    /// Filter by status: running, paused, completed, failed or cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,

    /// Maximum number of runs to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// List the runs after this cursor, which the previous page printed
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
        output::print_json(&page)?;
        return Ok(Exit::Success);
    }
    output::print(&render(&page.runs))?;
    for UnreadableRun { error, .. } in &page.unreadable {
        output::note(error);
    }
    if let Some(next) = page.next {
        output::note(&format!("more runs follow: continue with --after {next}"));
    }
    Ok(Exit::Success)
}

fn render(runs: &[RunSummary]) -> String {
    let columns = [
        Column::Left("WORKFLOW"),
        Column::Left("RUN"),
        Column::Left("STATUS"),
        Column::Right("STEPS"),
        Column::Right("PENDING"),
        Column::Left("STARTED"),
        Column::Right("DURATION"),
    ];
    let rows = runs.iter().map(|run| {
        vec![
            run.workflow.to_string(),
            run.run_id.to_string(),
            run.status.to_string(),
            count(run.steps),
            count(run.pending as u64),
            run.started_at.clone(),
            output::elapsed(&run.started_at, run.finished_at.as_deref()).unwrap_or_default(),
        ]
    });
    table(&columns, rows)
}
