//! `jetway status`: shows the status of a run.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, Column, TableArgs, Tables, count},
};
use clap::Args;
use jetway::{
    RunId, RunKey, WorkflowName,
    client::{Status, StatusView, WaitKind},
};

const AFTER_HELP: &str = "\
Says first what the run waits for. Reads the run's record from the server; no host has to
be running. On a terminal, long values are cut: --full shows them.

Example:
  jetway status chain first";

/// Show the status of a run, and what it is waiting for
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::NotFound]))]
pub(crate) struct StatusArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Run id
    run: RunId,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: StatusArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let status = client.status(&RunKey::new(args.workflow, args.run)).await?;
    if args.server.common.json {
        output::print_json(&status)?;
    } else {
        let tables = Tables::new(args.table);
        output::print(&render(&tables, &status, &client.now().to_string()))?;
        tables.finish();
    }
    Ok(Exit::Success)
}

fn render(tables: &Tables, status: &StatusView, now: &str) -> String {
    let run = &status.run;
    let time = |time: &str| match tables.relative_times() {
        true => format!("{} ({time})", output::ago(time, now)),
        false => time.to_owned(),
    };
    let mut rows = Vec::new();
    if let Some(reason) = &status.waiting_for {
        rows.push(("waiting for", reason.clone()));
    }
    rows.extend([("status", run.status.to_string())]);
    if let Some(error) = &run.error {
        rows.push(("error", output::error_text(error)));
    }
    if let Some(cancel) = &run.cancel {
        rows.push(("cancelled", format!("{}, {}", cancel.reason, time(&cancel.at))));
    }
    rows.extend([
        ("workflow", run.workflow.to_string()),
        ("run", run.run_id.to_string()),
        ("steps", count(run.steps)),
        ("started", time(&run.started_at)),
        ("updated", time(&status.updated_at)),
    ]);
    if let Some(deadline) = &status.deadline {
        let of_pause = if run.status == Status::Paused { ", if the run is resumed now" } else { "" };
        rows.push(("deadline", time(deadline) + of_pause));
    }
    if status.continued > 0 {
        rows.push(("continued as new", format!("{} times", count(status.continued.into()))));
    }
    if let Some(letters) = letters(status) {
        rows.push(("mailbox", letters));
    }
    if let Some(finished) = &run.finished_at {
        rows.push(("finished", time(finished)));
    }
    if let Some(duration) = output::elapsed(&run.started_at, run.finished_at.as_deref()) {
        rows.push(("duration", duration));
    }
    rows.push(("trace id", status.trace_id.clone()));
    if status.handled_failures > 0 {
        rows.push(("handled failures", count(status.handled_failures)));
    }
    if let Some(output) = &run.output {
        rows.push(("output", output.to_string()));
    }
    if let Some(left_out) = &run.left_out {
        rows.push(("output", format!("{} ({})", left_out.starts_with, left_out.hint)));
    }
    let rows = rows.into_iter().map(|(field, value)| vec![field.to_owned(), value]);
    let mut text = tables.table(&[Column::left("FIELD"), Column::wrap("VALUE")], rows);
    if !status.waits.is_empty() {
        text.push_str("\n\n");
        text.push_str(&waits(tables, status, now));
    }
    if !status.waiting_for_person.is_empty() {
        text.push_str("\n\n");
        text.push_str(&for_person(tables, status, now));
    }
    text
}

/// The signals that no item has waited for yet: their number, and that of each name.
fn letters(status: &StatusView) -> Option<String> {
    let mailbox = status.mailbox.as_ref()?;
    let signals = |number: usize| match number {
        1 => "1 signal".to_owned(),
        number => format!("{} signals", count(number as u64)),
    };
    let names = mailbox.names.iter().map(|(name, number)| match number {
        1 => name.clone(),
        number => format!("{name} ({})", count(*number as u64)),
    });
    let mut names: Vec<String> = names.collect();
    let others = mailbox.signals.saturating_sub(mailbox.names.values().sum());
    if others > 0 {
        names.push(format!("{} of other names", signals(others)));
    }
    Some(format!("{} that no item has waited for: {}", signals(mailbox.signals), names.join(", ")))
}

/// The items that `jetway retry` takes.
fn for_person(tables: &Tables, status: &StatusView, now: &str) -> String {
    let rows = status.waiting_for_person.iter().map(|waiting| {
        let node = waiting.node.clone().unwrap_or_else(|| "(fan-out branch)".to_owned());
        let since = match tables.relative_times() {
            true => output::ago(&waiting.since, now),
            false => waiting.since.clone(),
        };
        let error = waiting.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        vec![waiting.item.to_string(), node, since, error]
    });
    let columns = [
        Column::left("WAITS FOR A PERSON"),
        Column::cut("NODE"),
        Column::left("SINCE"),
        Column::wrap("ERROR"),
    ];
    tables.table(&columns, rows)
}

/// What pending items wait for, and what makes them go on.
fn waits(tables: &Tables, status: &StatusView, now: &str) -> String {
    let time = |time: &str| match tables.relative_times() {
        true => output::ago(time, now),
        false => time.to_owned(),
    };
    let rows = status.waits.iter().map(|wait| {
        let node = match wait.kind {
            WaitKind::Paused | WaitKind::Deadline => "(the run)".to_owned(),
            _ => wait.node.clone().unwrap_or_else(|| "(fan-out branches)".to_owned()),
        };
        let until = match (&wait.due_since, &wait.until) {
            (Some(due), _) => format!("due {}", time(due)),
            (None, Some(until)) => time(until),
            (None, None) => "-".to_owned(),
        };
        let ends_with = match &wait.detail {
            Some(detail) => format!("{} ({detail})", wait.moved_by),
            None => wait.moved_by.clone(),
        };
        vec![node, count(wait.items as u64), time(&wait.since), until, ends_with]
    });
    let columns = [
        Column::cut("PENDING NODE"),
        Column::right("ITEMS"),
        Column::left("SINCE"),
        Column::left("UNTIL"),
        Column::wrap("GOES ON WITH"),
    ];
    tables.table(&columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w44_the_mailbox_is_shown() {
        let said = |mailbox| {
            let status: StatusView = serde_json::from_value(serde_json::json!({
                "run_id": "r-1", "incarnation": "0000000000000000", "workflow": "pay", "status": "running", "output": null,
                "outputs": [], "error": null, "started_at": "2026-01-01T00:00:00.000Z", "finished_at": null, "steps": 3,
                "updated_at": "2026-01-01T00:00:01.000Z", "pending": [], "mailbox": mailbox, "handled_failures": 0,
                "latest_handled_failures": [], "trace_id": "0af7651916cd43dd8448eb211c80319c",
            }))
            .unwrap();
            letters(&status)
        };
        assert_eq!(said(serde_json::Value::Null), None);
        let one = said(serde_json::json!({ "signals": 1, "bytes": 9, "names": { "paid": 1 } })).unwrap();
        assert_eq!(one, "1 signal that no item has waited for: paid");
        let names = serde_json::json!({ "approval": 2, "paid": 1 });
        let many = said(serde_json::json!({ "signals": 1_003, "bytes": 9, "names": names })).unwrap();
        let expected =
            "1,003 signals that no item has waited for: approval (2), paid, 1,000 signals of other names";
        assert_eq!(many, expected);
    }

    #[test]
    fn u6_a_run_is_shown_with_what_it_is_waiting_for() {
        let status: StatusView = serde_json::from_value(serde_json::json!({
            "run_id": "r-1", "incarnation": "0000000000000000", "workflow": "pay", "status": "running", "output": null, "outputs": [],
            "error": null, "started_at": "2026-01-01T00:00:00.000Z", "finished_at": null, "steps": 3,
            "updated_at": "2026-01-01T00:00:01.000Z",
            "mailbox": { "signals": 2, "bytes": 40, "names": { "paid": 2 } }, "deadline": "2026-01-02T00:00:00.000Z",
            "pending": [
                { "node": "charge", "items": 2, "waiting": 1, "since": "2026-01-01T00:00:01.000Z" },
                { "node": null, "items": 4000, "since": "2026-01-01T00:00:01.000Z" },
            ],
            "waits": [
                { "kind": "slot", "node": "charge", "items": 1, "since": "2026-01-01T00:00:01.000Z", "moved_by": "the end of another" },
                {
                    "kind": "retry", "node": "charge", "items": 1, "since": "2026-01-01T00:00:01.000Z",
                    "until": "2026-01-01T00:01:01.000Z", "detail": "busy", "moved_by": "the time",
                },
                { "kind": "no_host", "items": 4000, "since": "2026-01-01T00:00:01.000Z",
                  "due_since": "2026-01-01T00:00:01.000Z", "moved_by": "a host" },
            ],
            "waiting_for": "no live host serves the workflow \"pay\"", "handled_failures": 1, "latest_handled_failures": [], "trace_id": "0af7651916cd43dd8448eb211c80319c",
        }))
        .unwrap();
        let tables = Tables::new(TableArgs { full: true });
        let text = render(&tables, &status, "2026-01-01T00:00:09.000Z");
        let first = text.lines().nth(1).unwrap_or_default();
        assert!(first.starts_with("waiting for  "), "{text}");
        let has = |row: &[&str]| text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == row);
        assert!(has(&["status", "running"]), "{text}");
        let since = "2026-01-01T00:00:01.000Z";
        assert!(has(&["charge", "1", since, "-", "the", "end", "of", "another"]), "{text}");
        assert!(has(&["charge", "1", since, "2026-01-01T00:01:01.000Z", "the", "time", "(busy)"]), "{text}");
        assert!(text.contains("no live host serves the workflow \"pay\""), "{text}");
        assert!(text.contains("(fan-out branches)  4,000"), "{text}");
        assert!(has(&["(fan-out", "branches)", "4,000", since, "due", since, "a", "host"]), "{text}");
        assert!(has(&["trace", "id", "0af7651916cd43dd8448eb211c80319c"]), "{text}");
        assert!(has(&["deadline", "2026-01-02T00:00:00.000Z"]), "{text}");
        assert!(text.contains("2 signals that no item has waited for: paid (2)"), "{text}");
        assert!(!text.contains("finished  "), "{text}");
    }
}
