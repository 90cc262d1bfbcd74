//! The command line.

use crate::{commands::Command, exit::Exit};
use clap::Parser;

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
