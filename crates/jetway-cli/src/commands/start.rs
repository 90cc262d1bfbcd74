//! `jetway start`: starts a run.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_wait},
};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client, RunId, RunKey,
    client::{ClientError, StartOptions},
    run::{DoneView, Status},
};
use serde_json::{Value, json};
use std::{io::Read, path::PathBuf, time::Duration};

const AFTER_HELP: &str = "\
Prints the run's id; with --wait, the run's output. A start that was acknowledged is kept: where no host is up, the next \
one takes it.

Examples:
  jetway start chain --input 0 --wait
  jetway start corpus --input '{\"path\": \"/usr/share/doc\", \"top\": 5}' --id docs --wait=5m";

/// Start a run of a workflow
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct StartArgs {
    /// Name of the workflow
    workflow: String,

    /// Input of the run: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", value_parser = parse_input, allow_hyphen_values = true)]
    input: Input,

    /// Name of the run; starting the same one twice gives one run
    #[arg(long, value_name = "RUN")]
    id: Option<RunId>,

    /// Wait for the result [default: 30s where no time is given]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
          value_parser = parse_wait)]
    wait: Option<Duration>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, PartialEq)]
enum Input {
    Given(Value),
    File(PathBuf),
    Stdin,
}

fn parse_input(text: &str) -> Result<Input, String> {
    match text.strip_prefix('@') {
        Some(path) => Ok(Input::File(path.into())),
        None if text == "-" => Ok(Input::Stdin),
        None => serde_json::from_str(text).map(Input::Given).map_err(|error| {
            format!("not JSON: {error} (a text is written in quotes, as in --input '\"text\"')")
        }),
    }
}

impl Input {
    fn read(self) -> anyhow::Result<Value> {
        match self {
            Self::Given(value) => Ok(value),
            Self::File(path) => {
                let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
            }
            Self::Stdin => {
                let mut text = Vec::new();
                std::io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
                serde_json::from_slice(&text).context("standard input is not JSON")
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
        Some(wait) => result(&client.result(&run, wait).await?, json),
        None if json => {
            output::json(&json!({ "workflow": run.workflow, "run_id": run.run_id }))?;
            Ok(Exit::Done)
        }
        None => {
            output::data(run.run_id.as_str())?;
            Ok(Exit::Done)
        }
    }
}

/// Asks a host, which answers when the run exists and says what is wrong with the input; where none is up, leaves a
/// start message for the first that comes.
async fn start(
    client: &Client,
    workflow: &str,
    input: &Value,
    options: &StartOptions,
) -> anyhow::Result<RunKey> {
    match client.start(workflow, input, options).await {
        Err(ClientError::NoHost { .. }) => {
            let run = client.publish_start(workflow, input, options).await?;
            output::say(&format!("no host is up: run {run} starts when one is"));
            Ok(run)
        }
        started => Ok(started?),
    }
}

fn result(done: &DoneView, json: bool) -> anyhow::Result<Exit> {
    if json {
        output::json(done)?;
    }
    if done.status != Status::Completed {
        output::run_failed(done);
        return Ok(Exit::RunFailed);
    }
    if !json {
        output::json(&done.output)?;
    }
    Ok(Exit::Done)
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
    fn wait_takes_a_time_or_none() {
        assert_eq!(parsed(&["--input", "0"]).wait, None);
        assert_eq!(parsed(&["--input", "0", "--wait"]).wait, Some(Duration::from_secs(30)));
        assert_eq!(parsed(&["--wait=5m", "--input", "0"]).wait, Some(Duration::from_secs(300)));
    }

    #[test]
    fn the_input_is_json_a_file_or_standard_input() {
        assert_eq!(parsed(&["--input", "-7"]).input, Input::Given(json!(-7)));
        assert_eq!(parsed(&["--input", "{\"a\": [1]}"]).input, Input::Given(json!({ "a": [1] })));
        assert_eq!(parsed(&["--input", "@in.json"]).input, Input::File("in.json".into()));
        assert_eq!(parsed(&["--input", "-"]).input, Input::Stdin);
        let error = parse_input("text").unwrap_err();
        assert!(error.contains("in quotes"), "{error}");
    }

    #[test]
    fn a_run_id_is_checked() {
        let wrong = parse(&["--input", "0", "--id", "a.b"]).unwrap_err();
        assert_eq!(wrong.exit_code(), Exit::Usage as i32);
    }
}
