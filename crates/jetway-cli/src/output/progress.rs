//! A bar that shows how many files are done.

use indicatif::{ProgressBar, ProgressStyle};
use jetway::run::StatusView;
use std::time::Duration;

/// The nodes of the corpus workflow that a file goes through.
const FILE_NODES: [&str; 2] = ["analyse", "skip"];

/// How far a run of the corpus workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    done: u64,
    all: u64,
}

/// Shows on a terminal how far a run of the corpus workflow is; elsewhere it shows nothing.
#[derive(Debug)]
pub(crate) struct FileProgress {
    bar: ProgressBar,
}

impl FileProgress {
    /// A bar that waits for the scan.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // Drawn on standard error, and only if that is a terminal.
        let bar = ProgressBar::no_length();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
        bar.set_message("scanning");
        Ok(Self { bar })
    }

    /// Shows how far the run is.
    pub(crate) fn show(&self, status: &StatusView) -> anyhow::Result<()> {
        match files(status) {
            Some(Files { done, all }) => {
                if self.bar.length().is_none() {
                    let bar = "[{wide_bar:.cyan/blue}] {human_pos}/{human_len} files  {elapsed}";
                    self.bar.set_style(ProgressStyle::with_template(bar)?.progress_chars("=> "));
                }
                self.bar.set_length(all);
                self.bar.set_position(done);
            }
            None if status.run.steps > 0 => {
                self.bar.set_style(ProgressStyle::with_template("{spinner} {msg}  {elapsed}")?);
                self.bar.set_message("merging");
                self.bar.tick();
            }
            None => self.bar.tick(),
        }
        Ok(())
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far a verification is: a bar on a terminal, a line for each act elsewhere.
#[derive(Debug)]
pub(crate) struct ActProgress {
    bar: ProgressBar,
}

impl ActProgress {
    /// A bar for so long a time.
    pub(crate) fn new(lasts: Duration) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(lasts.as_secs());
        bar.set_style(
            ProgressStyle::with_template("[{bar:30.cyan/blue}] {elapsed}  {msg}")?.progress_chars("=> "),
        );
        Ok(Self { bar })
    }

    /// Shows what is done now, `seconds` after the beginning.
    pub(crate) fn show(&self, what: &str, seconds: u64) {
        if self.bar.is_hidden() {
            return super::say(what);
        }
        self.bar.set_message(what.to_owned());
        self.bar.set_position(seconds);
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many files are done, out of the run's record: one step is the scan, one is a file that was read, and two are one
/// that was not. `None` before the scan is done and after the last file is.
fn files(status: &StatusView) -> Option<Files> {
    // Files of which nothing was taken up yet may be listed without their node.
    let of_files = status
        .pending
        .iter()
        .filter(|pending| pending.node.as_deref().is_none_or(|node| FILE_NODES.contains(&node)));
    let open: u64 = of_files.map(|pending| pending.items as u64).sum();
    let done = status.run.steps.checked_sub(1)?.saturating_sub(status.handled_failures);
    (open > 0).then_some(Files { done, all: done + open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(steps: u64, caught: u64, pending: &[(Option<&str>, u64)]) -> StatusView {
        let pending: Vec<_> = pending
            .iter()
            .map(|(node, items)| {
                serde_json::json!({ "node": node, "items": items, "since": "2026-01-01T00:00:00.000Z" })
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "run_id": "r", "workflow": "corpus", "status": "running", "output": null, "outputs": [],
            "error": null, "started_at": "2026-01-01T00:00:00.000Z", "finished_at": null, "steps": steps,
            "updated_at": "2026-01-01T00:00:00.000Z", "pending": pending, "handled_failures": caught,
            "latest_handled_failures": [], "trace_id": "0",
        }))
        .unwrap()
    }

    #[test]
    fn files_are_counted_from_the_record_of_the_run() {
        assert_eq!(files(&status(0, 0, &[(Some("scan"), 1)])), None);
        assert_eq!(files(&status(1, 0, &[(None, 10)])), Some(Files { done: 0, all: 10 }));
        // Three read; one failed and waits for `skip`; one was skipped.
        let mixed = [(None, 4), (Some("analyse"), 1), (Some("skip"), 1)];
        assert_eq!(files(&status(1 + 3 + 1 + 2, 2, &mixed)), Some(Files { done: 4, all: 10 }));
        assert_eq!(files(&status(11, 0, &[(Some("merge"), 1)])), None);
    }
}
