//! The `jetway` command: starts runs, looks at them, serves workflows, and shows what Jetway does.

mod cli;
mod commands;
mod connection;
mod exit;
mod local;
mod output;
mod workflows;

use clap::Parser;
use cli::{Cli, Command};
use exit::Exit;
use jetway::engine::Control;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match jetway::telemetry::Telemetry::new("jetway").default_log(cli.command.default_log()).init()
    {
        Ok(_telemetry) => run(cli).await,
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        output::error(&error);
        Exit::of(&error)
    })
    .into()
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Demo(args) => commands::demo::run(args).await,
        Command::Dev(args) => commands::dev::run(args).await,
        Command::Host(args) => commands::host::run(args).await,
        Command::Start(args) => commands::start::run(args).await,
        Command::Status(args) => commands::status::run(args).await,
        Command::Runs(args) => commands::runs::run(args).await,
        Command::Cancel(args) => commands::control::run(args, Control::Cancel).await,
        Command::Pause(args) => commands::control::run(args, Control::Pause).await,
        Command::Resume(args) => commands::control::run(args, Control::Resume).await,
        Command::Dot(args) => commands::dot::run(args).await,
        Command::Doctor(args) => commands::doctor::run(args).await,
        Command::Verify(args) => commands::verify::run(args).await,
        Command::VerifyHost(args) => commands::verify::serve(args).await,
    }
}
