//! What is printed: results on standard output, everything else on standard error.

mod duration;
mod printable;
mod progress;
mod table;

pub(crate) use duration::{ago, elapsed, parse_duration, parse_time, parse_words, spoken};
pub(crate) use printable::printable;
pub(crate) use progress::{FileProgress, PhaseProgress, RunProgress};
pub(crate) use table::{Column, TableArgs, Tables, bytes, count};

use crate::exit::Exit;
use jetway::client::{CancelReason, DoneView, ErrorView, Status};
use printable::printable_json;
use serde::Serialize;
use serde_json::json;
use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether messages and errors are JSON, too: one object on each line of standard error.
static JSON: AtomicBool = AtomicBool::new(false);

/// Prints messages and errors as JSON from now on.
pub(crate) fn use_json() {
    JSON.store(true, Ordering::Relaxed);
}

fn uses_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints a result on standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        // A reader that closes the pipe early, such as `head`, is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints sentences on standard output, which may quote others.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    print(&printable(text))
}

/// Prints a result as JSON on standard output.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints a message on standard error.
pub(crate) fn note(text: &str) {
    if uses_json() {
        print_line(&printable_json(&json!({ "note": text }).to_string()));
    } else {
        print_line(&printable(text));
    }
}

#[expect(clippy::print_stderr, reason = "a command line program reports on standard error")]
fn print_line(text: &str) {
    eprintln!("{text}");
}

/// Prints the result of a run: its output as it is, or with `json` everything. Returns how the command ends.
pub(crate) fn print_result(done: &DoneView, json: bool) -> anyhow::Result<Exit> {
    if json {
        print_json(done)?;
    }
    if done.status != Status::Completed {
        print_run_failed(done);
        return Ok(Exit::RunFailed);
    }
    match (&done.output, &done.left_out) {
        _ if json => {}
        (Some(output), _) => print(output.get())?,
        (None, Some(left_out)) => anyhow::bail!(
            "the output of run {}/{} has {} bytes and is gone: its result was stored without it, and its record has expired",
            done.workflow,
            done.run_id,
            left_out.bytes
        ),
        (None, None) => print("null")?,
    }
    Ok(Exit::Success)
}

/// Reports a run that failed or was cancelled.
pub(crate) fn print_run_failed(done: &DoneView) {
    let cause = done.error.as_ref().map_or_else(String::new, |error| format!(": {}", error_text(error)));
    let ended = match done.status {
        Status::Failed => "failed".to_owned(),
        Status::Cancelled => cancelled_text(done),
        status @ (Status::Running | Status::Paused | Status::Cancelling | Status::Completed) => {
            format!("is {status}")
        }
    };
    print_failure(&format!("run {}/{} {ended}{cause}", done.workflow, done.run_id), Exit::RunFailed);
}

/// How a run was cancelled.
fn cancelled_text(done: &DoneView) -> String {
    let Some(cancel) = &done.cancel else { return "was cancelled".to_owned() };
    match cancel.reason {
        CancelReason::Requested => "was cancelled".to_owned(),
        CancelReason::Deadline => "was not done at its deadline".to_owned(),
        CancelReason::Terminated => "was terminated".to_owned(),
        CancelReason::CleanUpTimeout => {
            let nodes = cancel.not_run.join(", ");
            format!("was cancelled, and its clean-up did not end in time; what did not run: {nodes}")
        }
    }
}

/// The message of a run's error, with the node and the attempt that failed.
pub(crate) fn error_text(error: &ErrorView) -> String {
    match &error.node {
        Some(node) => format!("{} (node {node}, attempt {})", error.message, error.attempt),
        None => error.message.clone(),
    }
}

/// Reports why a command failed, and returns how it ends.
pub(crate) fn print_error(error: &anyhow::Error) -> Exit {
    let exit = Exit::of(error);
    print_failure(&chain(error), exit);
    exit
}

/// Reports a failure. As JSON it has the code with which the command ends, and a stable word for it.
pub(crate) fn print_failure(message: &str, exit: Exit) {
    if uses_json() {
        let error = json!({ "kind": exit.kind(), "exit_code": exit as u8, "message": message });
        print_line(&printable_json(&json!({ "error": error }).to_string()));
    } else {
        print_line(&format!("{} {}", error_label(), printable(message)));
    }
}

fn error_label() -> &'static str {
    if coloured(&io::stderr()) { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" }
}

/// The error and its causes. A cause that an outer message already contains is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let colon = if text.is_empty() { "" } else { ": " };
            text.push_str(colon);
            text.push_str(&cause);
        }
    }
    text
}

/// Whether to print in colour: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_is_shown_with_its_causes_each_once() {
        let error = Err::<(), _>(io::Error::other("the disk is full"))
            .context("cannot write: the disk is full")
            .context("the report is lost")
            .unwrap_err();
        assert_eq!(chain(&error), "the report is lost: cannot write: the disk is full");
    }

    #[test]
    fn a_failed_run_names_the_node_and_the_attempt() {
        let error = |node: Option<&str>| ErrorView {
            node: node.map(ToOwned::to_owned),
            item_id: None,
            attempt: 2,
            kind: "error".to_owned(),
            message: "no such file".to_owned(),
        };
        assert_eq!(error_text(&error(Some("scan"))), "no such file (node scan, attempt 2)");
        assert_eq!(error_text(&error(None)), "no such file");
    }
}
