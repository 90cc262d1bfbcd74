//! The verbs, one in each file.

mod control;
mod demo;
mod dev;
mod doctor;
mod dot;
mod host;
mod permissions;
mod result;
mod retry;
mod runs;
mod setup;
mod signal;
mod start;
mod status;
mod verify;
mod waiting;

use crate::exit::Exit;
use clap::Subcommand;
use control::{CANCEL_HELP, PAUSE_HELP, RESUME_HELP, TERMINATE_HELP};
use jetway::client::Control;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    Dev(dev::DevArgs),
    Host(host::HostArgs),
    Start(start::StartArgs),
    Status(status::StatusArgs),
    Result(result::ResultArgs),
    Runs(runs::RunsArgs),
    /// Cancel a run and its child runs, with its clean-up
    #[command(after_help = Exit::connection_help(CANCEL_HELP, &[Exit::NotFound]))]
    Cancel(control::ControlArgs),
    /// End a run at once, without its clean-up
    #[command(after_help = Exit::connection_help(TERMINATE_HELP, &[Exit::NotFound]))]
    Terminate(control::ControlArgs),
    /// Pause a run: running steps finish, no new ones start
    #[command(after_help = Exit::connection_help(PAUSE_HELP, &[Exit::NotFound]))]
    Pause(control::ControlArgs),
    /// Resume a paused run
    #[command(after_help = Exit::connection_help(RESUME_HELP, &[Exit::NotFound]))]
    Resume(control::ControlArgs),
    Retry(retry::RetryArgs),
    Signal(signal::SignalArgs),
    Dot(dot::DotArgs),
    Setup(setup::SetupArgs),
    Permissions(permissions::PermissionsArgs),
    Doctor(doctor::DoctorArgs),
    Verify(verify::VerifyArgs),
    VerifyHost(verify::HostArgs),
}

impl Command {
    /// The log filter if `RUST_LOG` is not set. A process that serves logs its work; a client logs warnings only.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            Self::Host(_) | Self::VerifyHost(_) => "info,async_nats=warn",
            // Its own lines say what a user of it needs. A run that fails is a warning.
            Self::Dev(_) => "warn",
            Self::Demo(_)
            | Self::Start(_)
            | Self::Status(_)
            | Self::Result(_)
            | Self::Runs(_)
            | Self::Cancel(_)
            | Self::Terminate(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Retry(_)
            | Self::Signal(_)
            | Self::Dot(_)
            | Self::Setup(_)
            | Self::Permissions(_)
            // A connection that fails is an error of the command, which says more than the client library.
            | Self::Doctor(_) => "warn,async_nats=off",
            // It injects faults, so warnings are expected.
            Self::Verify(_) => "error",
        }
    }

    /// Whether the verb prints JSON.
    pub(crate) fn prints_json(&self) -> bool {
        match self {
            Self::Demo(args) => args.common.json,
            Self::Dev(args) => args.common.json,
            Self::Host(args) => args.server.common.json,
            Self::Start(args) => args.server.common.json,
            Self::Status(args) => args.server.common.json,
            Self::Result(args) => args.server.common.json,
            Self::Runs(args) => args.server.common.json,
            Self::Cancel(args) | Self::Terminate(args) | Self::Pause(args) | Self::Resume(args) => {
                args.server.common.json
            }
            Self::Retry(args) => args.server.common.json,
            Self::Signal(args) => args.server.common.json,
            Self::Dot(args) => args.server.common.json,
            Self::Setup(args) => args.server.common.json,
            Self::Permissions(args) => args.common.json,
            Self::Doctor(args) => args.server.common.json,
            Self::Verify(args) => args.json,
            Self::VerifyHost(args) => args.server.common.json,
        }
    }

    /// Runs the verb.
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(args) => demo::run(args).await,
            Self::Dev(args) => dev::run(args).await,
            Self::Host(args) => host::run(args).await,
            Self::Start(args) => start::run(args).await,
            Self::Status(args) => status::run(args).await,
            Self::Result(args) => result::run(args).await,
            Self::Runs(args) => runs::run(args).await,
            Self::Cancel(args) => control::run(args, Control::Cancel).await,
            Self::Terminate(args) => control::run(args, Control::Terminate).await,
            Self::Pause(args) => control::run(args, Control::Pause).await,
            Self::Resume(args) => control::run(args, Control::Resume).await,
            Self::Retry(args) => retry::run(args).await,
            Self::Signal(args) => signal::run(args).await,
            Self::Dot(args) => dot::run(args).await,
            Self::Setup(args) => setup::run(args).await,
            Self::Permissions(args) => permissions::run(args),
            Self::Doctor(args) => doctor::run(args).await,
            Self::Verify(args) => verify::run(args).await,
            Self::VerifyHost(args) => verify::serve(args).await,
        }
    }
}
