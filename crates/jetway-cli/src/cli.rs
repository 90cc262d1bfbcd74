//! The command line: `jetway` and its verbs.

use crate::{commands::Command, exit::Exit};
use clap::Parser;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::CONNECTION_HELP;
    use clap::CommandFactory;

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
