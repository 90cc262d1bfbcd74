//! The `jetway` command: starts, shows and controls runs, runs hosts, and verifies an installation.

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
    let result = match jetway::telemetry::Telemetry::new("jetway")
        .service_version(env!("CARGO_PKG_VERSION"))
        .default_log(command.default_log())
        .init()
    {
        Ok(_telemetry) => command.run().await,
        Err(error) => Err(error.into()),
    };
    result
        .unwrap_or_else(|error| {
            output::print_error(&error);
            Exit::of(&error)
        })
        .into()
}
