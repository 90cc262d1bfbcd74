//! What `jetway verify` prints for people.

use crate::output::{Column, count, table};
use jetway_verify::{Failure, Summary};

/// The numbers, and what is wrong where something is.
pub(super) fn render(summary: &Summary) -> String {
    let numbers = [
        ("seed", summary.seed.to_string()),
        ("seconds", count(summary.seconds)),
        ("phases", count(summary.phases)),
        ("runs", count(summary.runs)),
        ("child runs", count(summary.children)),
        ("steps committed", count(summary.steps)),
        ("executions of nodes", count(summary.executions)),
        ("tickets republished by a sweep", count(summary.republished)),
    ];
    let mut rows: Vec<Vec<String>> = numbers.into_iter().map(|(what, number)| row(what, number)).collect();
    rows.extend(summary.ended.iter().map(|(status, runs)| row(&format!("runs {status}"), count(*runs))));
    rows.extend(summary.faults.iter().map(|(fault, times)| row(fault, count(*times))));
    rows.extend(summary.violations.iter().map(|(kind, found)| row(kind, count(*found))));
    let mut text = table(&[Column::Left("what"), Column::Right("how many")], rows);
    if let Some(failure) = &summary.failure {
        text.push_str(&broken(failure));
    }
    text
}

fn row(what: &str, number: String) -> Vec<String> {
    vec![what.to_owned(), number]
}

fn broken(failure: &Failure) -> String {
    let run = failure.run.as_deref().unwrap_or("no run in particular");
    let mut text = format!("\n\nviolation in the phase {}: {run}\n", failure.phase);
    for violation in &failure.violations {
        text.push_str(&format!("  {violation}\n"));
    }
    for (title, part) in [("program", &failure.program), ("record", &failure.snapshot)] {
        if let Some(part) = part {
            text.push_str(&format!("\n{title}:\n{part}\n"));
        }
    }
    for (title, lines) in
        [("executions", &failure.trace), ("log", &failure.log), ("hosts that ended", &failure.hosts)]
    {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}:\n{}\n", lines.join("\n")));
        }
    }
    text
}
