//! What was measured, minute by minute, and whether it is flat.

use crate::load::Tally;
use anyhow::Result;
use serde::Serialize;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// How much memory the processes take up, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) host: u64,
    /// What the host has allocated and not freed.
    pub(crate) heap: usize,
    /// `None` where the server is not on this machine.
    pub(crate) server: Option<u64>,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
struct Minute {
    minute: usize,
    runs_started: u64,
    runs_ended: u64,
    steps_per_second: f64,
    host_bytes: u64,
    host_heap_bytes: usize,
    server_bytes: Option<u64>,
}

/// What an hour comes to.
#[derive(Debug, Serialize)]
struct Summary {
    runs: u64,
    steps: u64,
    /// The minute after which the memory is to be flat.
    warm_up: usize,
    host_bytes_after_warm_up: u64,
    host_bytes_at_the_end: u64,
    host_kib_per_1000_runs: f64,
    host_heap_bytes_after_warm_up: usize,
    host_heap_bytes_at_the_end: usize,
    host_heap_kib_per_1000_runs: f64,
    most_growth_mib: u64,
    flat: bool,
}

/// The rows so far.
pub(crate) struct Report {
    json: bool,
    warm_up: usize,
    most_growth_mib: u64,
    minutes: Vec<Minute>,
    before: Option<Tally>,
}

#[expect(clippy::print_stdout, reason = "the figures are what the program is for")]
impl Report {
    pub(crate) fn new(json: bool, warm_up: u32, most_growth_mib: u64) -> Self {
        Self { json, warm_up: warm_up as usize, most_growth_mib, minutes: Vec::new(), before: None }
    }

    /// Prints the next row.
    pub(crate) fn minute(&mut self, tally: Tally, memory: Memory) -> Result<()> {
        let now = std::time::Instant::now();
        let before = self.before.replace(Tally { since: now, ..tally }).unwrap_or(tally);
        let seconds = now.duration_since(before.since).as_secs_f64();
        let row = Minute {
            minute: self.minutes.len(),
            runs_started: tally.started,
            runs_ended: tally.ended,
            steps_per_second: (tally.steps - before.steps) as f64 / seconds.max(f64::MIN_POSITIVE),
            host_bytes: memory.host,
            host_heap_bytes: memory.heap,
            server_bytes: memory.server,
        };
        if self.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            if row.minute == 0 {
                println!(
                    "{:>6}{:>12}{:>12}{:>10}{:>14}{:>14}{:>14}",
                    "minute", "started", "ended", "steps/s", "host", "allocated", "server"
                );
            }
            let server = row.server_bytes.map_or_else(|| "-".to_owned(), mib);
            println!(
                "{:>6}{:>12}{:>12}{:>10.0}{:>14}{:>14}{:>14}",
                row.minute,
                row.runs_started,
                row.runs_ended,
                row.steps_per_second,
                mib(row.host_bytes),
                mib(row.host_heap_bytes as u64),
                server
            );
        }
        self.minutes.push(row);
        Ok(())
    }

    /// Prints what it comes to, and says whether the memory stayed flat.
    pub(crate) fn summary(&self, tally: Tally) -> Result<bool> {
        let warm = self.minutes.get(self.warm_up..).unwrap_or_default();
        let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
            anyhow::bail!("the soak was too short");
        };
        let most = self.most_growth_mib << 20;
        let grown = |bytes: fn(&Minute) -> u64| bytes(last).saturating_sub(bytes(first));
        let slope = |bytes: fn(&Minute) -> u64| {
            slope(warm.iter().map(|row| (row.runs_ended as f64 / 1000.0, bytes(row) as f64 / KIB)))
        };
        let summary = Summary {
            runs: tally.ended,
            steps: tally.steps,
            warm_up: self.warm_up,
            host_bytes_after_warm_up: first.host_bytes,
            host_bytes_at_the_end: last.host_bytes,
            host_kib_per_1000_runs: slope(|row| row.host_bytes),
            host_heap_bytes_after_warm_up: first.host_heap_bytes,
            host_heap_bytes_at_the_end: last.host_heap_bytes,
            host_heap_kib_per_1000_runs: slope(|row| row.host_heap_bytes as u64),
            most_growth_mib: self.most_growth_mib,
            flat: grown(|row| row.host_bytes) <= most && grown(|row| row.host_heap_bytes as u64) <= most,
        };
        if self.json {
            println!("{}", serde_json::to_string(&summary)?);
            return Ok(summary.flat);
        }
        let row = |name: &str, value: String| println!("{name:<44}{value:>24}");
        println!();
        row("runs", summary.runs.to_string());
        row("steps", summary.steps.to_string());
        row(&format!("host after minute {}", self.warm_up), mib(first.host_bytes));
        row("host at the end", mib(last.host_bytes));
        row("growth, by linear fit", per_1000(summary.host_kib_per_1000_runs));
        row(&format!("allocated by it after minute {}", self.warm_up), mib(first.host_heap_bytes as u64));
        row("allocated by it at the end", mib(last.host_heap_bytes as u64));
        row("growth, by linear fit", per_1000(summary.host_heap_kib_per_1000_runs));
        let verdict = if summary.flat { "flat" } else { "GREW" };
        row(&format!("verdict ({} MiB are allowed)", self.most_growth_mib), verdict.to_owned());
        Ok(summary.flat)
    }
}

fn per_1000(kib: f64) -> String {
    format!("{kib:.2} KiB per 1000 runs")
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}

/// By how much y grows where x grows by one, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let count = points.clone().count() as f64;
    let mean = |value: fn((f64, f64)) -> f64| points.clone().map(value).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let (mut both, mut square) = (0.0, 0.0);
    for (x, y) in points {
        both += (x - x_mean) * (y - y_mean);
        square += (x - x_mean) * (x - x_mean);
    }
    if square == 0.0 { 0.0 } else { both / square }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line_through_the_points() {
        let rising = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
        assert!((slope(rising.into_iter()) - 2.0).abs() < 1e-9);
        let level = [(0.0, 4.0), (1.0, 6.0), (2.0, 4.0)];
        assert!(slope(level.into_iter()).abs() < 1e-9);
        assert_eq!(slope([(1.0, 1.0)].into_iter()), 0.0);
    }
}
