//! The `jetway` command: starts runs, looks at them, serves workflows, and shows what Jetway does.

mod args;
mod cli;
mod commands;
mod exit;
mod local;
mod output;
mod workflows;

use clap::Parser;
use cli::Cli;
use exit::Exit;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let done = match jetway::telemetry::Telemetry::new("jetway").default_log(command.default_log()).init() {
        Ok(_telemetry) => command.run().await,
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        output::error(&error);
        Exit::of(&error)
    })
    .into()
}
