//! What was measured, for people and for programs.

use crate::{bare::Bare, load::Times};
use anyhow::Result;
use serde::Serialize;

/// Everything that was measured in one run of the load generator.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    runs: usize,
    in_flight: usize,
    bare: [Bare; 2],
    idle: Times,
    busy: Times,
    /// Steps per second over bare compare-and-swap writes per second.
    steps_per_swap: f64,
    /// The time of an idle run of ten steps over that of one synchronous publish.
    idle_run_per_publish: f64,
}

impl Report {
    pub(crate) fn new(runs: usize, in_flight: usize, bare: [Bare; 2], idle: Times, busy: Times) -> Self {
        let mean = |of: fn(&Bare) -> f64| bare.iter().map(of).sum::<f64>() / 2.0;
        let steps_per_swap = busy.steps_per_second / mean(|bare| bare.swaps_per_second);
        let idle_run_per_publish = idle.run_p50_ms / mean(|bare| bare.publish_p50_ms);
        Self { runs, in_flight, bare, idle, busy, steps_per_swap, idle_run_per_publish }
    }

    #[expect(clippy::print_stdout, reason = "the figures are what the program is for")]
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let row = |name: &str, value: String| println!("{name:<52} {value:>14}");
        for (when, bare) in ["before", "after"].iter().zip(&self.bare) {
            row(&format!("bare swaps, 256 keys at once ({when})"), format!("{:.0}/s", bare.swaps_per_second));
            row(
                &format!("bare swaps, one after the other ({when})"),
                format!("{:.0}/s", bare.swaps_in_a_row_per_second),
            );
            row(&format!("bare synchronous publish, p50 ({when})"), format!("{:.3} ms", bare.publish_p50_ms));
        }
        row("idle run of ten steps, p50", format!("{:.2} ms", self.idle.run_p50_ms));
        row("idle run of ten steps, p99", format!("{:.2} ms", self.idle.run_p99_ms));
        let title = format!("{} runs of ten steps, {} at once", self.runs, self.in_flight);
        row(&title, format!("{:.0} steps/s", self.busy.steps_per_second));
        row("  a run, p50", format!("{:.1} ms", self.busy.run_p50_ms));
        row("  a run, p99", format!("{:.1} ms", self.busy.run_p99_ms));
        row("steps per bare swap (256 at once)", format!("{:.2}", self.steps_per_swap));
        row("idle run per synchronous publish", format!("{:.1}", self.idle_run_per_publish));
        Ok(())
    }
}
