//! The summary of `jetway verify` as text.

use crate::output::{Column, Tables, count};
use jetway_verify::{Failure, Summary};

/// The counts, and the first violation if there is one.
pub(super) fn render(tables: &Tables, summary: &Summary) -> String {
    let numbers = [
        ("seed", summary.seed.to_string()),
        ("seconds", count(summary.seconds)),
        ("phases", count(summary.phases)),
        ("runs", count(summary.runs)),
        ("child runs", count(summary.children)),
        ("steps committed", count(summary.steps)),
        ("timers", count(summary.timers)),
        ("node executions", count(summary.executions)),
        ("tickets restored by a sweep", count(summary.republished)),
    ];
    let mut rows: Vec<Vec<String>> = numbers.into_iter().map(|(name, value)| row(name, value)).collect();
    rows.extend(summary.ended.iter().map(|(status, runs)| row(&format!("runs {status}"), count(*runs))));
    rows.extend(summary.counts.iter().map(|(what, times)| row(what, count(*times))));
    rows.extend(summary.faults.iter().map(|(fault, times)| row(fault, count(*times))));
    rows.extend(summary.used_ids.iter().map(|(how, times)| row(how, count(*times))));
    rows.extend(summary.violations.iter().map(|(kind, found)| row(kind, count(*found))));
    let mut text = tables.table(&[Column::cut("FIELD"), Column::right("VALUE")], rows);
    if let Some(failure) = &summary.failure {
        text.push_str(&violation(failure));
    }
    text
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn violation(failure: &Failure) -> String {
    let run = failure.run.as_deref().map_or_else(String::new, |run| format!(", run {run}"));
    let mut text = format!("\n\nViolation in phase {}{run}\n", failure.phase);
    for violation in &failure.violations {
        text.push_str(&format!("  {violation}\n"));
    }
    for (title, part) in [("Workflow", &failure.program), ("Snapshot", &failure.snapshot)] {
        if let Some(part) = part {
            text.push_str(&format!("\n{title}:\n{part}\n"));
        }
    }
    for (title, lines) in [
        ("Node executions", &failure.trace),
        ("Host logs", &failure.log),
        ("Hosts that exited unexpectedly", &failure.hosts),
    ] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}:\n{}\n", lines.join("\n")));
        }
    }
    text
}
