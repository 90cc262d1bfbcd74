//! `jetway doctor`: checks an installation.

mod checks;

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, TableArgs, Tables},
};
use checks::{Check, CheckStatus};
use clap::Args;
use serde_json::json;

const AFTER_HELP: &str = "\
Changes nothing. The exit code is 1 if a check fails or no server answers. A warning is
not a failure.

Example:
  jetway doctor --nats nats://127.0.0.1:4222";

/// Check the server, its streams and the hosts
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[]))]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<Exit> {
    let checks = checks::all(&args.server).await?;
    let ok = checks.iter().all(|check| check.status != CheckStatus::Failed);
    if args.server.common.json {
        output::print_json(&json!({ "ok": ok, "checks": checks }))?;
    } else {
        let tables = Tables::new(args.table);
        output::print(&render(&tables, &checks))?;
        tables.finish();
    }
    Ok(if ok { Exit::Success } else { Exit::Failed })
}

fn render(tables: &Tables, checks: &[Check]) -> String {
    let columns = [Column::left("CHECK"), Column::state("STATUS"), Column::wrap("DETAILS")];
    let rows = checks
        .iter()
        .map(|check| vec![check.name.to_owned(), check.status.label().to_owned(), check.details.clone()]);
    tables.table(&columns, rows)
}
