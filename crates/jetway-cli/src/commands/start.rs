//! `jetway start`: starts a run.

use super::waiting::{Waited, go_on, interrupted, limit, say_how_to_go_on, wait_for};
use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_duration, parse_time},
};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client, RunId, RunKey, WorkflowName,
    client::{ClientError, Json, StartOptions, StartedRun},
};
use std::{
    io::Read,
    path::PathBuf,
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const AFTER_HELP: &str = "\
Prints the run id, or with --wait the output of the run. --wait prints the run id at once
on standard error; Ctrl-C ends the wait, and not the run. If no host is running, the server
stores the start, and the run begins when a host starts. With --at or --in, the run exists
at once and waits: jetway status shows until when. A run that exists keeps its time and
its deadline.

Examples:
  jetway start chain --input 0 --wait
  jetway start chain --input 0 --id later --in 10m
  jetway start chain --input 0 --deadline 10m
  jetway start chain --input 0 --at 2030-01-31T08:00:00+01:00
  jetway start corpus --input '{\"path\": \"/usr/share/doc\", \"top\": 5}' --id docs --wait 5m";

/// How a command that waits for a run may end.
const WAIT_EXITS: &[Exit] = &[Exit::RunFailed, Exit::NotFound, Exit::TimedOut, Exit::Interrupted];

/// Start a run of a workflow
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, WAIT_EXITS))]
pub(crate) struct StartArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Input of the run: JSON, @FILE to read a file, or - to read standard input [default: null, for an input of type `()`]
    #[arg(long, value_name = "JSON", value_parser = parse_input, allow_hyphen_values = true)]
    input: Option<Input>,

    /// Run id; starting the same id twice with the same input gives one run [default: random]
    #[arg(long, value_name = "ID")]
    id: Option<RunId>,

    /// Start the run at TIME, by the clock of the server: RFC 3339 with its offset [default: at once, as for a time in the past]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<SystemTime>,

    /// Start the run after DURATION, such as 90s, 10m, 2h or 3d
    #[arg(long = "in", value_name = "DURATION", conflicts_with = "at", value_parser = parse_duration,
          allow_hyphen_values = true)]
    after: Option<Duration>,

    /// Fail the run if it is not done within DURATION after its start, such as 90s, 10m, 2h or 3d [default: as its workflow says]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    deadline: Option<Duration>,

    /// Wait for the result, for at most TIME [default: do not wait; without TIME: 30s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "30s",
          value_parser = parse_duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// A JSON value that a verb takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    Inline(Json),
    File(PathBuf),
    Stdin,
}

pub(super) fn parse_input(text: &str) -> Result<Input, String> {
    match text.strip_prefix('@') {
        Some(path) => Ok(Input::File(path.into())),
        None if text == "-" => Ok(Input::Stdin),
        None => serde_json::from_str(text)
            .map(Input::Inline)
            .map_err(|error| format!("not valid JSON: {error}; a JSON string needs quotes: '\"text\"'")),
    }
}

impl Input {
    pub(super) fn read(self) -> anyhow::Result<Json> {
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
    let input = args.input.map_or_else(|| Ok(Json::of(&(), "the input")?), Input::read)?;
    let (wait, server) = (args.wait, &args.server);
    // Chosen here, so that it is known whatever happens to the request.
    let run_id = args.id.map_or_else(|| RunId::new(&format!("{:032x}", rand::random::<u128>())), Ok)?;
    let key = RunKey::new(args.workflow.clone(), run_id.clone());
    let client = server.client().await?;
    let after = args.after.map(|after| time_after(&client, after)).transpose()?;
    let options = StartOptions { run_id: Some(run_id), start_at: args.at.or(after), deadline: args.deadline };
    let mut interrupt = pin!(jetway::shutdown_requested());
    let run = tokio::select! {
        started = start(&client, args.workflow.as_str(), &input, &options) => started?,
        signal = &mut interrupt => {
            signal?;
            let told = "interrupted while starting it, so it may not exist";
            output::print_failure(&format!("run {key}: {told}. {}", go_on(&key, server)), Exit::Interrupted);
            return Ok(Exit::Interrupted);
        }
    };
    let json = server.common.json;
    let Some(wait) = wait else {
        match json {
            true => output::print_json(&run)?,
            false => output::print(run.run_id.as_str())?,
        }
        return Ok(Exit::Success);
    };
    output::note(&format!("run {run}: {}", limit(wait)));
    let waited = wait_for(&client, &run, &key, wait, interrupt).await;
    match waited.inspect_err(|error| say_how_to_go_on(error, &key, server))? {
        Waited::Done(done) => output::print_result(&done, json),
        Waited::Interrupted => Ok(interrupted(&key, server)),
    }
}

/// The time of the server after a duration.
fn time_after(client: &Client, duration: Duration) -> anyhow::Result<SystemTime> {
    let now = UNIX_EPOCH.checked_add(Duration::from_millis(client.now().0));
    now.and_then(|now| now.checked_add(duration))
        .context("--in is too long: a run waits for at most 100 years")
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
        assert_eq!(parsed(&["--wait", "5s", "--input", "0"]).wait, Some(Duration::from_secs(5)));
        assert_eq!(parsed(&["--wait", "--input", "0"]).wait, Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_input_is_json_a_file_or_standard_input() {
        assert_eq!(parsed(&["--input", "-7"]).input, Some(Input::Inline(Json::of(&-7, "x").unwrap())));
        assert_eq!(parsed(&[]).input, None);
        // The text stays as it is: the order of the keys, and numbers of any size.
        let text = r#"{"b":[1.10],"a":123456789012345678901234567890}"#;
        let Some(Input::Inline(inline)) = parsed(&["--input", text]).input else { panic!("it is inline") };
        assert_eq!(inline.get(), text);
        assert_eq!(parsed(&["--input", "@in.json"]).input, Some(Input::File("in.json".into())));
        assert_eq!(parsed(&["--input", "-"]).input, Some(Input::Stdin));
        let error = parse_input("text").unwrap_err();
        assert!(error.contains("needs quotes"), "{error}");
    }

    #[test]
    fn a_start_has_one_time() {
        assert_eq!((parsed(&[]).at, parsed(&[]).after), (None, None));
        let at = parsed(&["--at", "1970-01-01T01:00:01+01:00"]).at;
        assert_eq!(at, Some(UNIX_EPOCH + Duration::from_secs(1)));
        assert_eq!(parsed(&["--in", "10m"]).after, Some(Duration::from_secs(600)));
        for wrong in
            [&["--at", "soon"][..], &["--in", "-1s"], &["--in", "1s", "--at", "1970-01-01T00:00:00Z"]]
        {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), Exit::Usage as i32, "{wrong:?}");
        }
    }

    #[test]
    fn a_run_id_is_checked() {
        let wrong = parse(&["--input", "0", "--id", "a.b"]).unwrap_err();
        assert_eq!(wrong.exit_code(), Exit::Usage as i32);
    }
}
