//! What is printed: data on standard output, everything else on standard error.

mod duration;
mod progress;
mod table;

pub(crate) use duration::{parse_wait, took};
pub(crate) use progress::{ActProgress, FileProgress};
pub(crate) use table::{Column, bytes, count, table};

use jetway::run::{DoneView, ErrorView};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Prints a text that is data.
pub(crate) fn data(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    // A reader that has seen enough, such as `head`, is no error.
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints one JSON document.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    data(&serde_json::to_string_pretty(value)?)
}

/// Tells a person something that is not data.
#[expect(clippy::print_stderr, reason = "a command line program talks on standard error")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Tells how a run ended that did not complete.
pub(crate) fn run_failed(done: &DoneView) {
    let why = done.error.as_ref().map_or_else(String::new, |error| format!(": {}", error_text(error)));
    say(&format!("{} run {}/{} is {}{why}", error_word(), done.workflow, done.run_id, done.status));
}

/// An error with where it happened.
pub(crate) fn error_text(error: &ErrorView) -> String {
    match &error.node {
        Some(node) => format!("{} (node {node}, attempt {})", error.message, error.attempt),
        None => error.message.clone(),
    }
}

/// Tells why a command failed.
pub(crate) fn error(error: &anyhow::Error) {
    say(&format!("{} {}", error_word(), chain(error)));
}

fn error_word() -> &'static str {
    if coloured(&io::stderr()) { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" }
}

/// The error and what it came from, each said once: many errors repeat the text of their source.
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

/// Whether to print in colour: on a terminal, where nobody minds.
pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_is_told_with_its_causes_but_nothing_twice() {
        let error = Err::<(), _>(io::Error::other("the disk is full"))
            .context("cannot write: the disk is full")
            .context("the report is lost")
            .unwrap_err();
        assert_eq!(chain(&error), "the report is lost: cannot write: the disk is full");
    }
}
