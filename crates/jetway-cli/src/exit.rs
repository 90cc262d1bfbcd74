//! The exit codes of `jetway`.

use crate::args::CONNECTION_HELP;
use jetway::{
    client::ClientError,
    nats::{ConnectProblem, EnvironmentError, PermissionError, SettingsError},
};
use std::process::ExitCode;
use thiserror::Error;

/// How a command ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded.
    Success = 0,
    /// The command failed; standard error says why.
    Failed = 1,
    /// The command line is invalid. The argument parser exits with this code.
    Usage = 2,
    /// The run that the command waited for failed or was cancelled.
    RunFailed = 3,
    /// No such run or workflow.
    NotFound = 4,
    /// The run did not end in time.
    TimedOut = 5,
    /// A required program is not installed.
    MissingProgram = 6,
    /// `jetway verify` found a violation.
    VerificationFailed = 7,
    /// Ctrl-C ended the command while it waited.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::RunFailed,
        Self::NotFound,
        Self::TimedOut,
        Self::MissingProgram,
        Self::VerificationFailed,
        Self::Interrupted,
    ];

    /// What the code means, for `--help`.
    fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "error; standard error says what failed",
            Self::Usage => "invalid command line, setting or list of users",
            Self::RunFailed => "the run failed or was cancelled",
            Self::NotFound => "no such run or workflow",
            Self::TimedOut => "the run did not end in time",
            Self::MissingProgram => "Graphviz is not installed (only `dot --svg`)",
            Self::VerificationFailed => "verification found a violation",
            Self::Interrupted => "Ctrl-C; a run that was started goes on",
        }
    }

    /// A stable word for the code, in an error as JSON.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::RunFailed => "run_failed",
            Self::NotFound => "not_found",
            Self::TimedOut => "timed_out",
            Self::MissingProgram => "missing_program",
            Self::VerificationFailed => "verification_failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The end of a help page: `text`, then the codes that every command has and the ones in `more`.
    pub(crate) fn help(text: &str, more: &[Self]) -> String {
        let mut help = format!("{text}\n\nExit codes:");
        let common = [Self::Success, Self::Failed, Self::Usage];
        for code in Self::ALL.iter().filter(|code| common.contains(code) || more.contains(code)) {
            help.push_str(&format!("\n  {:<3}  {}", *code as u8, code.meaning()));
        }
        help
    }

    /// The same for a verb that connects to a server.
    pub(crate) fn connection_help(text: &str, more: &[Self]) -> String {
        Self::help(&format!("{text}\n\n{CONNECTION_HELP}"), more)
    }

    /// The code for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<MissingProgram>() {
            return Self::MissingProgram;
        }
        let is_setting = error.is::<SettingsError>() || error.is::<EnvironmentError>();
        if is_setting || error.is::<BadInput>() || error.is::<PermissionError>() {
            return Self::Usage;
        }
        if let Some(ConnectProblem::BadSetting | ConnectProblem::BadLogin) =
            ConnectProblem::of(error.as_ref())
        {
            return Self::Usage;
        }
        match error.downcast_ref::<ClientError>() {
            Some(ClientError::NotFound { .. }) => Self::NotFound,
            Some(ClientError::TimedOut { .. }) => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

/// A required program is not installed. The text says which one, and what to do.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct MissingProgram(pub(crate) &'static str);

/// What the user gave besides the command line, such as a list, is invalid. The text says what, and what to do.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BadInput(pub(crate) String);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_the_codes_in_order() {
        let codes = |help: &str| -> Vec<_> {
            let lines = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
            lines.filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok()).collect()
        };
        assert_eq!(codes(&Exit::help("", &Exit::ALL)), [0, 1, 2, 3, 4, 5, 6, 7, 130]);
        assert_eq!(codes(&Exit::help("Example:\n  jetway", &[Exit::NotFound])), [0, 1, 2, 4]);
    }
}
