//! Runs that wait for a host of another build, and records that this version cannot read.

use super::{Check, CheckStatus, check};
use crate::output::count;
use jetway::{
    Client,
    client::{BuildWaitView, ClientError, RunSummary, RunsQuery, Status, UnreadablePart, UnreadableRun},
};
use std::collections::BTreeMap;

/// How many runs are read at once, and how many in all: the latest.
const PAGE: usize = 1000;
const MAX_RUNS: usize = 20_000;

const NAME: &str = "waiting runs";

/// A warning for each node and build whose items wait, and one for records that cannot be read.
pub(super) async fn checks(client: &Client) -> Vec<Check> {
    match read(client).await {
        Ok((runs, unreadable)) => {
            let mut checks = waiting(&runs);
            checks.extend(unreadable_records(&unreadable));
            checks
        }
        Err(error) => {
            vec![check(NAME, CheckStatus::Warning, format!("the runs cannot be listed: {error}"))]
        }
    }
}

/// The latest of the runs that have not ended.
async fn read(client: &Client) -> Result<(Vec<RunSummary>, Vec<UnreadableRun>), ClientError> {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for status in [Status::Running, Status::Paused, Status::Cancelling] {
        let (mut after, mut left) = (None, MAX_RUNS);
        while left > 0 {
            let query =
                RunsQuery { status: Some(status), limit: PAGE.min(left), after, ..RunsQuery::default() };
            let page = client.runs(&query).await?;
            left = left.saturating_sub(page.runs.len().max(1));
            runs.extend(page.runs.into_iter().filter(|run| !run.waiting_for_build.is_empty()));
            unreadable.extend(page.unreadable);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok((runs, unreadable))
}

/// What several runs wait for.
type Wait<'a> = (&'a str, &'a str, UnreadablePart, &'a str, &'a str);

fn waiting(runs: &[RunSummary]) -> Vec<Check> {
    let mut waits: BTreeMap<Wait<'_>, (u64, &BuildWaitView)> = BTreeMap::new();
    for run in runs {
        for view in &run.waiting_for_build {
            let BuildWaitView { node, part, written_by, unreadable_by, .. } = view;
            let wait =
                (run.workflow.as_str(), node.as_str(), *part, written_by.as_str(), unreadable_by.as_str());
            let (count, oldest) = waits.entry(wait).or_insert((0, view));
            *count += 1;
            if view.since < oldest.since {
                *oldest = view;
            }
        }
    }
    let sentence = |((workflow, node, part, written_by, unreadable_by), (runs, oldest)): (
        Wait<'_>,
        (u64, &BuildWaitView),
    )| {
        let what = match part {
            UnreadablePart::Input => "the input",
            UnreadablePart::Context => "the context",
            UnreadablePart::Record => "a record",
        };
        let (runs, wait) = match runs {
            1 => ("1 run".to_owned(), "waits"),
            runs => (format!("{} runs", count(runs)), "wait"),
        };
        let cannot = match &oldest.expected {
            Some(expected) => format!("build {unreadable_by} expects {expected} and cannot"),
            None => format!("build {unreadable_by} cannot"),
        };
        format!(
            "{runs} of workflow {workflow} {wait} for a host that can read {what} of node {node}, which build {written_by} \
             wrote: {cannot}; oldest since {} (host {}); start a host of a build that can, such as {written_by}, or cancel \
             the runs",
            oldest.since, oldest.host
        )
    };
    waits.into_iter().map(|wait| check(NAME, CheckStatus::Warning, sentence(wait))).collect()
}

fn unreadable_records(runs: &[UnreadableRun]) -> Option<Check> {
    let first = runs.first()?;
    let details = match runs.len() {
        1 => first.error.clone(),
        more => format!("{} records cannot be decoded, such as: {}", count(more as u64), first.error),
    };
    Some(check("records", CheckStatus::Warning, details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(id: &str, node: &str, since: &str) -> RunSummary {
        serde_json::from_value(json!({
            "workflow": "pay", "run_id": id, "incarnation": "0000000000000000", "status": "running", "steps": 1,
            "pending": 1, "started_at": since, "updated_at": since, "finished_at": null,
            "waiting_for_build": [{
                "node": node, "items": 1, "part": "input", "expected": "Order", "written_by": "01", "unreadable_by": "02",
                "host": format!("host-{id}"), "since": since, "reason": "missing field",
            }],
        }))
        .unwrap()
    }

    #[test]
    fn u7_doctor_counts_runs_by_what_they_wait_for() {
        let late = "2026-01-02T00:00:00.000Z";
        let early = "2026-01-01T00:00:00.000Z";
        let checks = waiting(&[run("a", "charge", late), run("b", "charge", early), run("c", "ship", late)]);
        assert_eq!(checks.len(), 2, "{checks:?}");
        let charge = &checks[0].details;
        assert!(
            charge
                .starts_with("2 runs of workflow pay wait for a host that can read the input of node charge"),
            "{charge}"
        );
        assert!(charge.contains(&format!("oldest since {early} (host host-b)")), "{charge}");
        assert!(charge.contains("build 02 expects Order") && charge.contains("such as 01"), "{charge}");
        assert!(checks[1].details.starts_with("1 run of workflow pay waits"), "{}", checks[1].details);
    }
}
