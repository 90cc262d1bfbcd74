//! `jetway runs`: lists runs.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, TableArgs, Tables, count},
};
use clap::Args;
use jetway::{
    WorkflowName,
    client::{RunSummary, RunsQuery, Status, UnreadableRun},
};

const AFTER_HELP: &str = "\
Lists the runs that changed last first. A filter is applied before the limit: all runs are
looked at until enough are found. On a terminal, long ids are cut: --full shows them.

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

    /// Filter by status: running, paused, cancelling, completed, failed or cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,

    /// Maximum number of runs to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// List the runs after this cursor, which the previous page printed
    #[arg(long, value_name = "CURSOR", value_parser = parse_cursor)]
    after: Option<String>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// A cursor is a number. It stays the text that the server gave.
fn parse_cursor(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(_number) => Ok(text.to_owned()),
        Err(_no_number) => Err("it is no cursor: use the one that the previous page printed".to_owned()),
    }
}

/// Runs the verb.
pub(crate) async fn run(args: RunsArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let RunsArgs { workflow, status, limit, after, table, .. } = args;
    let page = client.runs(&RunsQuery { workflow, status, limit, after }).await?;
    if args.server.common.json {
        output::print_json(&page)?;
        return Ok(Exit::Success);
    }
    let tables = Tables::new(table);
    output::print(&render(&tables, &page.runs, &client.now().to_string()))?;
    tables.finish();
    let waiting = page.runs.iter().filter(|run| !run.waiting_for_build.is_empty()).count();
    if waiting > 0 {
        let waiting = count(waiting as u64);
        output::note(&format!(
            "{waiting} of these runs wait for a host of another build: `jetway status` and `jetway doctor` say which"
        ));
    }
    for UnreadableRun { error, .. } in &page.unreadable {
        output::note(error);
    }
    if let Some(next) = &page.next {
        let (found, looked) = (count(page.runs.len() as u64), count(page.scanned));
        output::note(&format!(
            "found {found} in {looked} runs, and there are more: continue with --after {next}"
        ));
    }
    Ok(Exit::Success)
}

fn render(tables: &Tables, runs: &[RunSummary], now: &str) -> String {
    let relative = tables.relative_times();
    let time = |time: &str| if relative { output::ago(time, now) } else { time.to_owned() };
    let columns = [
        Column::cut("WORKFLOW"),
        Column::cut("RUN"),
        Column::state("STATUS"),
        Column::right("STEPS"),
        Column::left("UPDATED"),
        Column::left("STARTED").spare(),
        Column::right("DURATION").spare(),
        Column::right("PENDING").spare(),
    ];
    let rows = runs.iter().map(|run| {
        vec![
            run.workflow.to_string(),
            run.run_id.to_string(),
            run.status.to_string(),
            count(run.steps),
            time(&run.updated_at),
            time(&run.started_at),
            output::elapsed(&run.started_at, run.finished_at.as_deref()).unwrap_or_default(),
            count(run.pending as u64),
        ]
    });
    tables.table(&columns, rows)
}
