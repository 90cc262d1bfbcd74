//! `jetway doctor`: looks whether everything is as it should be.

mod checks;

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, table},
};
use checks::{Check, State};
use clap::Args;
use serde_json::json;

const AFTER_HELP: &str = "\
It changes nothing. The exit code is 1 where a check fails or there is no server; a warning is no failure.

Example:
  jetway doctor --nats nats://127.0.0.1:4222";

/// Look whether the server, its streams and the hosts are as they should be
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<Exit> {
    let checks = checks::all(&args.server).await?;
    let sound = checks.iter().all(|check| check.state != State::Failed);
    if args.server.common.json {
        output::json(&json!({ "sound": sound, "checks": checks }))?;
    } else {
        output::data(&render(&checks))?;
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn render(checks: &[Check]) -> String {
    let columns = [Column::Left("CHECK"), Column::Left("STATE"), Column::Left("WHAT WAS FOUND")];
    let rows = checks
        .iter()
        .map(|check| vec![check.name.to_owned(), check.state.word().to_owned(), check.found.clone()]);
    table(&columns, rows)
}
