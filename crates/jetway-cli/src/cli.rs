//! The command line.

use crate::{commands, exit::Exit};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Try it, with nothing installed:
  jetway demo .

Start a run on a server that has a host, and wait for its result:
  jetway dev
  jetway start chain --input 0 --wait";

/// Durable, typed workflows on NATS JetStream.
#[derive(Debug, Parser)]
#[command(name = "jetway", version, max_term_width = 100)]
#[command(after_help = format!("{AFTER_HELP}\n\n{}", Exit::HELP))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::DemoArgs),
    Dev(commands::dev::DevArgs),
    Host(commands::host::HostArgs),
    Start(commands::start::StartArgs),
    Status(commands::status::StatusArgs),
    Runs(commands::runs::RunsArgs),
    /// Stop a run for good: what is pending is pending no more
    Cancel(commands::control::ControlArgs),
    /// Take up nothing more of a run until it is resumed
    Pause(commands::control::ControlArgs),
    /// Let a paused run go on
    Resume(commands::control::ControlArgs),
    Dot(commands::dot::DotArgs),
    Doctor(commands::doctor::DoctorArgs),
    Verify(commands::verify::VerifyArgs),
    VerifyHost(commands::verify::HostArgs),
}

impl Command {
    /// What is logged where `RUST_LOG` says nothing: a host tells what it does, and a command that only asks does not.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            Self::Host(_) | Self::Dev(_) | Self::VerifyHost(_) => "info,async_nats=warn",
            Self::Demo(_)
            | Self::Start(_)
            | Self::Status(_)
            | Self::Runs(_)
            | Self::Cancel(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Dot(_)
            | Self::Doctor(_) => "warn",
            // It cuts its own connections, all the time.
            Self::Verify(_) => "error",
        }
    }
}

/// Which server, and what is shown: what every verb that talks to a server takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Address of the NATS server
    #[arg(long, value_name = "URL", env = "NATS_URL", default_value = "nats://127.0.0.1:4222")]
    pub(crate) nats: String,

    /// Credentials for the NATS server (a .creds file)
    #[arg(long, value_name = "FILE", env = "NATS_CREDS")]
    pub(crate) creds: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Keeps teams apart that share a server
    #[arg(long, value_name = "NAME", env = "JETWAY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: jetway::Namespace,

    /// Print one JSON document instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_is_for_and_shows_an_example() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(verb.get_about().is_some(), "{} does not say what it is for", verb.get_name());
            assert!(
                help.contains(&format!("jetway {}", verb.get_name())),
                "{} has no example",
                verb.get_name()
            );
        }
    }
}
