//! `jetway signal`: sends a signal to a run.

use super::start::{Input, parse_input};
use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, parse_duration, parse_time},
};
use clap::Args;
use jetway::{
    Incarnation, RunId, RunKey, SignalName, WorkflowName,
    client::{ClientError, Json, SignalOptions, StartOptions, Verdict},
};
use serde_json::json;
use std::time::{Duration, SystemTime};

const AFTER_HELP: &str = "\
A host applies the signal, and the command says what became of it: an item took it, or the
run keeps it until an item waits for it. Needs a running host. With --no-wait, the server
stores the signal and a host applies it later, also one that starts later; a run that does
not exist then has a minute to be started. Two signals of a run with one id are one signal.
With --start-with, a run that does not exist is started with this input, and has the signal
from its begin.

Examples:
  jetway signal shop order-1 approve '{\"by\": \"ann\"}'
  jetway signal shop order-1 paid 17 --id payment-17 --no-wait
  jetway signal basket ada add '\"a book\"' --start-with '{\"owner\": \"ada\"}'";

/// Send a signal to a run
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::NotFound]))]
pub(crate) struct SignalArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    /// Name of the signal
    name: SignalName,

    /// Payload: JSON, @FILE to read a file, or - to read standard input [default: null]
    #[arg(value_name = "JSON", value_parser = parse_input, allow_hyphen_values = true)]
    payload: Option<Input>,

    /// Id of the signal; sending the same id twice to a run is one signal [default: random]
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// Send it to this incarnation of the run alone [default: whichever has the run id]
    #[arg(long, value_name = "INCARNATION")]
    incarnation: Option<Incarnation>,

    /// Start the run with this input if it does not exist: JSON, @FILE to read a file, or - to read standard input
    #[arg(long, value_name = "INPUT", value_parser = parse_input, allow_hyphen_values = true,
          conflicts_with_all = ["incarnation", "no_wait"])]
    start_with: Option<Input>,

    /// Start that run at TIME, by the clock of the server: RFC 3339 with its offset [default: at once]
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "start_with")]
    start_at: Option<SystemTime>,

    /// Fail that run if it is not done within DURATION after its start, such as 90s, 10m, 2h or 3d [default: as its workflow says]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true,
          requires = "start_with")]
    deadline: Option<Duration>,

    /// Do not wait until the signal is applied
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: SignalArgs) -> anyhow::Result<Exit> {
    let payload = args.payload.map_or_else(|| Ok(Json::of(&(), "the payload")?), Input::read)?;
    let (run, name) = (RunKey::new(args.workflow, args.run), args.name);
    let options = SignalOptions { id: args.id, incarnation: args.incarnation };
    let (client, json) = (args.server.client().await?, args.server.common.json);
    if args.no_wait {
        client.publish_signal(&run, name.as_str(), &payload, &options).await?;
        match json {
            true => output::print_json(&json!({ "run_id": run.run_id, "name": name, "applied": false }))?,
            false => output::print_text(&format!("signal {name} to run {run} is stored\n"))?,
        }
        return Ok(Exit::Success);
    }
    let starts = args.start_with.is_some();
    let answer = match args.start_with {
        None => client.signal(&run, name.as_str(), &payload, &options).await,
        Some(input) => {
            let start = StartOptions {
                run_id: Some(run.run_id.clone()),
                start_at: args.start_at,
                deadline: args.deadline,
            };
            let (workflow, signal) = (run.workflow.as_str(), (name.as_str(), &payload));
            client.signal_with_start(workflow, &input.read()?, &start, signal, &options).await
        }
    };
    let answer = match answer {
        Err(error @ ClientError::NoHost { .. }) if !starts => {
            // A namespace that no host has made keeps nothing.
            if client.hosts().await.is_ok() {
                output::note("with --no-wait, the server keeps the signal until a host starts");
            }
            return Err(error.into());
        }
        answer => answer?,
    };
    if json {
        output::print_json(&answer)?;
        return Ok(Exit::Success);
    }
    if answer.started {
        output::print_text(&format!(
            "run {run} is started, and keeps signal {name} until an item waits for it\n"
        ))?;
        return Ok(Exit::Success);
    }
    let text = match answer.verdict {
        Verdict::Taken => format!("run {run} has taken signal {name}\n"),
        Verdict::Kept => format!("run {run} keeps signal {name} until an item waits for it\n"),
        Verdict::Duplicate => format!("run {run} had signal {name} with this id before\n"),
        refused => format!("run {run} has not taken signal {name}: {}\n", refused.as_str()),
    };
    output::print_text(&text)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SignalArgs,
    }

    fn parse(arguments: &[&str]) -> Result<SignalArgs, clap::Error> {
        Line::try_parse_from(["signal", "shop", "order-1"].iter().chain(arguments)).map(|line| line.args)
    }

    #[test]
    fn a_signal_has_a_payload_and_an_id() {
        let args = parse(&["paid", "-17", "--id", "p", "--no-wait"]).unwrap();
        assert_eq!(args.payload, Some(Input::Inline(Json::of(&-17, "x").unwrap())));
        assert!(args.no_wait && args.id.as_deref() == Some("p"));
        assert_eq!(parse(&["paid"]).unwrap().payload, None);
        let started = parse(&["paid", "--start-with", "7", "--start-at", "1970-01-01T00:00:01Z"]).unwrap();
        assert!(started.start_with.is_some() && started.start_at.is_some());
        let alone = ["paid", "--start-at", "1970-01-01T00:00:01Z"];
        assert_eq!(parse(&alone).unwrap_err().exit_code(), Exit::Usage as i32);
        for wrong in [&["a.b", "1"][..], &["paid", "text"], &["paid", "1", "--incarnation", "x"]] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), Exit::Usage as i32, "{wrong:?}");
        }
    }
}
