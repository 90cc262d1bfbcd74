//! `jetway start`: starts a run.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_duration},
};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client, RunId,
    client::{ClientError, Json, StartOptions, StartedRun},
};
use std::{io::Read, path::PathBuf, time::Duration};

const AFTER_HELP: &str = "\
Prints the run id, or with --wait the output of the run. If no host is running, the
server stores the start, and the run begins when a host starts.

Examples:
  jetway start chain --input 0 --wait
  jetway start corpus --input '{\"path\": \"/usr/share/doc\", \"top\": 5}' --id docs --wait=5m";

/// Start a run of a workflow
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::RunFailed, Exit::NotFound, Exit::TimedOut]))]
pub(crate) struct StartArgs {
    /// Workflow name
    workflow: String,

    /// Input of the run: JSON, @FILE to read a file, or - to read standard input
    #[arg(long, value_name = "JSON", value_parser = parse_input, allow_hyphen_values = true)]
    input: Input,

    /// Run id; starting the same id twice with the same input gives one run [default: random]
    #[arg(long, value_name = "ID")]
    id: Option<RunId>,

    /// Wait for the result, for at most TIME [default: do not wait; without TIME: 30s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
          value_parser = parse_duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, PartialEq)]
enum Input {
    Inline(Json),
    File(PathBuf),
    Stdin,
}

fn parse_input(text: &str) -> Result<Input, String> {
    match text.strip_prefix('@') {
        Some(path) => Ok(Input::File(path.into())),
        None if text == "-" => Ok(Input::Stdin),
        None => serde_json::from_str(text).map(Input::Inline).map_err(|error| {
            format!("not valid JSON: {error}; a JSON string needs quotes: --input '\"text\"'")
        }),
    }
}

impl Input {
    fn read(self) -> anyhow::Result<Json> {
        match self {
            Self::Inline(value) => Ok(value),
            Self::File(path) => {
                let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                serde_json::from_slice(&text).with_context(|| format!("{} is not valid JSON", path.display()))
            }
            Self::Stdin => {
                let mut text = Vec::new();
                std::io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
                serde_json::from_slice(&text).context("standard input is not valid JSON")
            }
        }
    }
}

/// Runs the verb.
pub(crate) async fn run(args: StartArgs) -> anyhow::Result<Exit> {
    let input = args.input.read()?;
    let client = args.server.client().await?;
    let options = StartOptions { run_id: args.id };
    let run = start(&client, &args.workflow, &input, &options).await?;
    let json = args.server.common.json;
    match args.wait {
        Some(wait) => output::print_result(&client.result(&run, wait).await?, json),
        None if json => {
            output::print_json(&run)?;
            Ok(Exit::Success)
        }
        None => {
            output::print(run.run_id.as_str())?;
            Ok(Exit::Success)
        }
    }
}

/// Asks a host to start the run: it validates the input and answers when the run exists. If no host is running,
/// publishes a start message, which the next host processes.
async fn start(
    client: &Client,
    workflow: &str,
    input: &Json,
    options: &StartOptions,
) -> anyhow::Result<StartedRun> {
    match client.start(workflow, input, options).await {
        Err(ClientError::NoHost { .. }) => {
            let run = client.publish_start(workflow, input, options).await?;
            output::note(&format!("no host is running: run {run} starts when a host does"));
            Ok(run)
        }
        started => Ok(started?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: StartArgs,
    }

    fn parse(arguments: &[&str]) -> Result<StartArgs, clap::Error> {
        let line = ["start", "chain"].iter().chain(arguments);
        Line::try_parse_from(line).map(|line| line.args)
    }

    fn parsed(arguments: &[&str]) -> StartArgs {
        parse(arguments).unwrap()
    }

    #[test]
    fn wait_has_an_optional_time() {
        assert_eq!(parsed(&["--input", "0"]).wait, None);
        assert_eq!(parsed(&["--input", "0", "--wait"]).wait, Some(Duration::from_secs(30)));
        assert_eq!(parsed(&["--wait=5m", "--input", "0"]).wait, Some(Duration::from_secs(300)));
    }

    #[test]
    fn the_input_is_json_a_file_or_standard_input() {
        assert_eq!(parsed(&["--input", "-7"]).input, Input::Inline(Json::of(&-7, "x").unwrap()));
        // The text stays as it is: the order of the keys, and numbers of any size.
        let text = r#"{"b":[1.10],"a":123456789012345678901234567890}"#;
        let Input::Inline(inline) = parsed(&["--input", text]).input else { panic!("it is inline") };
        assert_eq!(inline.get(), text);
        assert_eq!(parsed(&["--input", "@in.json"]).input, Input::File("in.json".into()));
        assert_eq!(parsed(&["--input", "-"]).input, Input::Stdin);
        let error = parse_input("text").unwrap_err();
        assert!(error.contains("needs quotes"), "{error}");
    }

    #[test]
    fn a_run_id_is_checked() {
        let wrong = parse(&["--input", "0", "--id", "a.b"]).unwrap_err();
        assert_eq!(wrong.exit_code(), Exit::Usage as i32);
    }
}
