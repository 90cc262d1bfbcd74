//! The `jetway` command: starts, shows and controls runs, runs hosts, and verifies an installation.

mod args;
mod cli;
mod commands;
mod exit;
mod local;
mod output;
mod workflows;

use clap::error::ErrorKind;
use cli::Cli;
use exit::Exit;
use std::{env, process::ExitCode};

/// A step makes many small allocations. With the usual allocator, host and server together need 8 % more time for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = match Cli::parse_from_line(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return invalid(&error),
    };
    if command.prints_json() {
        output::use_json();
    }
    let result = match jetway::telemetry::Telemetry::new("jetway")
        .service_version(env!("CARGO_PKG_VERSION"))
        .default_log(command.default_log())
        .init()
    {
        Ok(_telemetry) => command.run().await,
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| output::print_error(&error)).into()
}

/// Reports an invalid command line, or prints the help that it asks for.
fn invalid(error: &clap::Error) -> ExitCode {
    let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
    let text = error.render().to_string();
    let uses_json = env::args_os().any(|argument| argument == "--json");
    // The parser quotes arguments as they are.
    if asked || (!uses_json && output::printable(&text) == text.trim_end_matches('\n')) {
        error.exit();
    }
    if uses_json {
        output::use_json();
    }
    output::print_failure(text.trim_start_matches("error: ").trim_end(), Exit::Usage);
    Exit::Usage.into()
}
