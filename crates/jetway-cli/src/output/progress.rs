//! Progress bars on standard error.

use super::printable::printable_line;
use indicatif::{ProgressBar, ProgressStyle};
use jetway::client::StatusView;
use std::time::Duration;

/// The nodes of the corpus workflow that process single files.
const FILE_NODES: [&str; 2] = ["analyse", "skip"];

/// The progress of a run of the corpus workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    done: u64,
    total: u64,
}

/// The progress of a run of the corpus workflow. Shown on a terminal only.
#[derive(Debug)]
pub(crate) struct FileProgress {
    bar: ProgressBar,
}

impl FileProgress {
    /// A spinner, until the scan is done.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let bar = ProgressBar::no_length();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
        bar.set_message("scanning");
        Ok(Self { bar })
    }

    /// Shows the status of the run.
    pub(crate) fn show(&self, status: &StatusView) -> anyhow::Result<()> {
        match files(status) {
            Some(Files { done, total }) => {
                if self.bar.length().is_none() {
                    let bar = "[{wide_bar:.cyan/blue}] {human_pos}/{human_len} files  {elapsed}";
                    self.bar.set_style(ProgressStyle::with_template(bar)?.progress_chars("=> "));
                }
                self.bar.set_length(total);
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

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of a run that a command waits for: a line on a terminal, otherwise each new reason why it waits.
#[derive(Debug)]
pub(crate) struct RunProgress {
    bar: ProgressBar,
    reason: Option<String>,
}

impl RunProgress {
    /// A spinner.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let bar = ProgressBar::no_length();
        bar.set_style(ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}")?);
        bar.set_message("waiting for a host to start the run");
        Ok(Self { bar, reason: None })
    }

    /// Shows the status of the run.
    pub(crate) fn show(&mut self, status: &StatusView) {
        let reason = status.waiting_for.clone();
        if self.bar.is_hidden() {
            if let Some(reason) = reason.as_ref().filter(|_| reason != self.reason) {
                super::note(&format!("the run waits: {reason}"));
            }
            self.reason = reason;
            return;
        }
        let pending: u64 = status.pending.iter().map(|pending| pending.items as u64).sum();
        let (steps, pending) = (super::count(status.run.steps), super::count(pending));
        let waits = reason.map_or_else(String::new, |reason| format!("; waits: {reason}"));
        let message = format!("{}, {steps} steps, {pending} pending{waits}", status.run.status);
        self.bar.set_message(printable_line(&message));
        self.bar.tick();
    }

    /// Shows that time passes.
    pub(crate) fn tick(&self) {
        self.bar.tick();
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of a verification: a bar on a terminal, otherwise a line for each phase.
#[derive(Debug)]
pub(crate) struct PhaseProgress {
    bar: ProgressBar,
}

impl PhaseProgress {
    /// A bar for a verification of this duration.
    pub(crate) fn new(duration: Duration) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(duration.as_secs());
        bar.set_style(
            ProgressStyle::with_template("[{bar:30.cyan/blue}] {elapsed}  {msg}")?.progress_chars("=> "),
        );
        Ok(Self { bar })
    }

    /// Shows `message`, `seconds` after the start.
    pub(crate) fn show(&self, message: &str, seconds: u64) {
        if self.bar.is_hidden() {
            return super::note(message);
        }
        self.bar.set_message(printable_line(message));
        self.bar.set_position(seconds);
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Derives the number of files from the status of the run. The scan is one step, a file that was analysed is one step, and
/// a skipped file is two. `None` before the scan is done, and after the last file.
fn files(status: &StatusView) -> Option<Files> {
    // Items that are stored outside the snapshot are listed without their node.
    let of_files = status
        .pending
        .iter()
        .filter(|pending| pending.node.as_deref().is_none_or(|node| FILE_NODES.contains(&node)));
    let open: u64 = of_files.map(|pending| pending.items as u64).sum();
    let done = status.run.steps.checked_sub(1)?.saturating_sub(status.handled_failures);
    (open > 0).then_some(Files { done, total: done + open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(steps: u64, handled: u64, pending: &[(Option<&str>, u64)]) -> StatusView {
        let pending: Vec<_> = pending
            .iter()
            .map(|(node, items)| {
                serde_json::json!({ "node": node, "items": items, "since": "2026-01-01T00:00:00.000Z" })
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "run_id": "r", "incarnation": "0000000000000000", "workflow": "corpus", "status": "running", "output": null, "outputs": [],
            "error": null, "started_at": "2026-01-01T00:00:00.000Z", "finished_at": null, "steps": steps,
            "updated_at": "2026-01-01T00:00:00.000Z", "pending": pending, "handled_failures": handled,
            "latest_handled_failures": [], "trace_id": "0",
        }))
        .unwrap()
    }

    #[test]
    fn files_are_counted_from_the_status_of_the_run() {
        assert_eq!(files(&status(0, 0, &[(Some("scan"), 1)])), None);
        assert_eq!(files(&status(1, 0, &[(None, 10)])), Some(Files { done: 0, total: 10 }));
        // Three analysed; one failed and waits for `skip`; one skipped.
        let mixed = [(None, 4), (Some("analyse"), 1), (Some("skip"), 1)];
        assert_eq!(files(&status(1 + 3 + 1 + 2, 2, &mixed)), Some(Files { done: 4, total: 10 }));
        assert_eq!(files(&status(11, 0, &[(Some("merge"), 1)])), None);
    }
}
