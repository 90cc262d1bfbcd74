//! What was measured, for people and for programs.

use crate::{
    bare::Bare,
    load::{Idle, Start, Times},
};
use anyhow::Result;
use serde::Serialize;

/// Everything that was measured in one run of the load generator.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    runs: usize,
    in_flight: usize,
    bare: [Bare; 2],
    idle: Idle,
    /// The time of an idle run of ten steps over that of one synchronous publish.
    idle_run_per_publish: f64,
    busy: Vec<Busy>,
}

/// Many runs at once.
#[derive(Debug, Serialize)]
struct Busy {
    start: Start,
    #[serde(flatten)]
    times: Times,
    /// Steps per second over bare compare-and-swap writes per second.
    steps_per_swap: f64,
}

impl Report {
    pub(crate) fn new(
        runs: usize,
        in_flight: usize,
        bare: [Bare; 2],
        idle: Idle,
        busy: Vec<(Start, Times)>,
    ) -> Self {
        let swaps_per_second = bare.iter().map(|bare| bare.swaps_per_second).sum::<f64>() / 2.0;
        let idle_run_per_publish = idle.run_p50_ms / idle.publish_p50_ms;
        let busy = busy.into_iter().map(|(start, times)| {
            let steps_per_swap = times.steps_per_second / swaps_per_second;
            Busy { start, times, steps_per_swap }
        });
        Self { runs, in_flight, bare, idle, idle_run_per_publish, busy: busy.collect() }
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
        }
        row("bare synchronous publish, p50", format!("{:.3} ms", self.idle.publish_p50_ms));
        row("idle run of ten steps, p50", format!("{:.2} ms", self.idle.run_p50_ms));
        row("idle run of ten steps, p99", format!("{:.2} ms", self.idle.run_p99_ms));
        row("  per synchronous publish", format!("{:.1}", self.idle_run_per_publish));
        for Busy { start, times, steps_per_swap } in &self.busy {
            let how = match start {
                Start::Message => "a message each",
                Start::Client => "messages of the client",
                Start::Request => "asking a host",
            };
            let title = format!("{} runs, {} at once, {how}", self.runs, self.in_flight);
            row(&title, format!("{:.0} steps/s", times.steps_per_second));
            row("  steps per bare swap (256 at once)", format!("{steps_per_swap:.2}"));
            row("  a run, p50", format!("{:.1} ms", times.run_p50_ms));
            row("  a run, p99", format!("{:.1} ms", times.run_p99_ms));
        }
        Ok(())
    }
}
