//! The command line: `jetway` and its verbs.

use crate::{commands::Command, exit::Exit};
use clap::{
    Parser,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Examples:
  jetway demo .                          analyse the files in this directory; needs no server
  jetway dev                             start a server and a host, then in another terminal:
  jetway start chain --input 0 --wait    start a run and print its output";

/// Durable, typed workflows on NATS JetStream
#[derive(Debug, Parser)]
#[command(name = "jetway", version, max_term_width = 100)]
#[command(after_help = Exit::help(AFTER_HELP, &Exit::ALL))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses a command line. An error about a number with a sign says how to write it as the value of a flag: the parser of arguments
    /// takes it for a flag, and its own hint makes it an argument without one.
    ///
    /// # Errors
    /// The line is invalid, or asks for help.
    pub(crate) fn parse_from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(line).map_err(|mut error| {
            if is_about_a_number(&error) {
                let hint = "a value that begins with '-' follows its flag after '=', as in --limit=-1; a time is never negative";
                let hints = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
                error.insert(ContextKind::Suggested, hints);
            }
            error
        })
    }
}

fn is_about_a_number(error: &clap::Error) -> bool {
    let is_number = |text: &str| {
        text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    error.kind() == ErrorKind::UnknownArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(text)) if is_number(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::CONNECTION_HELP;
    use clap::CommandFactory;

    #[test]
    fn a_time_that_is_negative_is_refused_with_a_hint_that_works() {
        let said = |line: &str| {
            let line = format!("jetway {line}");
            let refused = Cli::parse_from_line(line.split(' ').map(OsString::from)).unwrap_err();
            assert_eq!(refused.exit_code(), Exit::Usage as i32, "{line}");
            refused.render().to_string()
        };
        for flag in ["--in", "--deadline", "--wait"] {
            let refused = said(&format!("start chain --input 0 {flag}=-1s"));
            assert!(refused.contains("invalid duration \"-1s\": write it as 500ms"), "{refused}");
        }
        for line in [
            "start chain --in -1s",
            "start chain --deadline -1s",
            "signal shop order-1 add --start-with 0 --deadline -5s",
            "host --drain-within -1s",
        ] {
            assert!(said(line).contains(": write it as 500ms, 30s"), "{}", said(line));
        }
        for line in ["start chain --wait -5s", "result chain r --wait -5s", "runs --limit -1"] {
            let refused = said(line);
            assert!(
                refused.contains("follows its flag after '='") && !refused.contains("'-- -"),
                "{refused}"
            );
        }
        // A value may be left out, and what follows is a flag.
        let line = ["jetway", "start", "chain", "--wait", "--json"].map(OsString::from);
        assert!(Cli::parse_from_line(line).is_ok());
    }

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_a_summary_an_example_and_exit_codes() {
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(verb.get_about().is_some(), "{name} has no summary");
            assert!(help.contains(&format!("jetway {name}")), "{name} has no example");
            assert!(help.contains("Exit codes:"), "{name} does not list its exit codes");
            let connects = verb.get_arguments().any(|argument| argument.get_id() == "servers");
            assert_eq!(
                help.contains(CONNECTION_HELP),
                connects,
                "{name} does not say how it finds its server"
            );
        }
    }
}
