//! The exit codes of `jetway`.

use jetway::client::ClientError;
use std::process::ExitCode;
use thiserror::Error;

/// How a command ended, for the shell. This is the one list; `jetway --help` shows [`Exit::HELP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It could not be done; standard error says why.
    Failed = 1,
    /// The command line was wrong. The parser exits by itself.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "clap exits with it; it is here so that the list is whole")
    )]
    Usage = 2,
    /// The run that was waited for has failed or was cancelled.
    RunFailed = 3,
    /// There is no such run, workflow or host.
    NotFound = 4,
    /// The run had not ended when the time was up.
    TimedOut = 5,
    /// A program that is needed is not installed.
    NoProgram = 6,
    /// A promise is broken: `jetway verify` has found a run that is not as it must be.
    Broken = 7,
}

impl Exit {
    /// The list, for people.
    pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed: standard error says why (no server, refused, ...)
  2  wrong command line
  3  the run failed or was cancelled
  4  no such run or workflow
  5  the run had not ended when the time was up
  6  a program that is needed is not installed: Graphviz, for dot --svg
  7  verify found a broken promise";

    /// The code for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<MissingProgram>() {
            return Self::NoProgram;
        }
        match error.downcast_ref::<ClientError>() {
            Some(ClientError::NotFound { .. }) => Self::NotFound,
            Some(ClientError::TimedOut { .. }) => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

/// A program that the command needs is not installed; the text says which, and what to do.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct MissingProgram(pub(crate) &'static str);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::RunFailed,
            Exit::NotFound,
            Exit::TimedOut,
            Exit::NoProgram,
            Exit::Broken,
        ];
        let listed: Vec<_> =
            Exit::HELP.lines().skip(1).filter_map(|line| line.trim().chars().next()).collect();
        let codes: Vec<_> = all.iter().filter_map(|exit| char::from_digit(*exit as u32, 10)).collect();
        assert_eq!(listed, codes);
    }
}
