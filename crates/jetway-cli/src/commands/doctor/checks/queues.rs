//! What waits in the streams, and why nobody takes it: paused consumers, old start messages, workflows that no host serves,
//! tickets of a newer format, dead letters. And how many alarms are armed, and how many signals wait.

use super::{Check, CheckStatus, check};
use crate::output::count;
use jetway::{
    Client,
    client::HostInfo,
    nats::{OldestStart, PausedConsumer, QueueReport},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A start message that is older than this is a warning.
const OLD_START: Duration = Duration::from_secs(60);
/// How many workflows one kind of warning names. Any client can invent names.
const MAX_NAMED: usize = 10;

/// Warnings about what waits, and the number of dead letters.
pub(super) async fn checks(client: &Client, hosts: Option<&[HostInfo]>) -> Vec<Check> {
    match client.queues().await {
        Ok(report) => of_report(&report, hosts),
        Err(error) => {
            let details = format!("what waits in the streams cannot be read: {error}");
            vec![check("queues", CheckStatus::Warning, details)]
        }
    }
}

fn of_report(report: &QueueReport, hosts: Option<&[HostInfo]>) -> Vec<Check> {
    let mut checks: Vec<_> = report.paused.iter().map(paused).collect();
    checks.extend(report.oldest_start.as_ref().and_then(|oldest| old_starts(&report.starts, oldest)));
    checks.extend(hosts.map(|hosts| not_served(report, hosts)).unwrap_or_default());
    checks.extend(newer_tickets(&report.newer_tickets));
    checks.extend(alarms(&report.alarms));
    checks.extend(signals(report));
    checks.push(dead_letters(report));
    checks
}

fn paused(paused: &PausedConsumer) -> Check {
    let PausedConsumer { stream, consumer, delivers, workflow, until } = paused;
    let effect = match *delivers {
        "tickets" => "its runs stand still",
        "wake-ups" => "its runs that wait for a time stand still",
        "signals" => "its runs do not get them",
        _ => "they do not start",
    };
    let details = format!(
        "consumer {consumer} of stream {stream} is paused until {until}: the {delivers} of workflow {workflow} are not \
         delivered, so {effect}; resume it with `nats consumer resume -f {stream} {consumer}`"
    );
    check("paused", CheckStatus::Warning, details)
}

fn old_starts(starts: &BTreeMap<String, u64>, oldest: &OldestStart) -> Option<Check> {
    if oldest.age <= OLD_START {
        return None;
    }
    let details = format!(
        "{}, the oldest since {} (workflow {}): no host takes them, or the hosts are overloaded",
        messages(starts.values().sum(), "start message"),
        oldest.at,
        oldest.workflow
    );
    Some(check("old starts", CheckStatus::Warning, details))
}

/// A warning for each workflow with messages that no running host takes.
fn not_served(report: &QueueReport, hosts: &[HostInfo]) -> Vec<Check> {
    let served: BTreeSet<&str> =
        hosts.iter().flat_map(|host| &host.workflows).map(|(workflow, _)| workflow.as_str()).collect();
    let all = [&report.starts, &report.tickets, &report.wakes, &report.signals];
    let waiting: BTreeSet<&String> = all.into_iter().flat_map(BTreeMap::keys).collect();
    let not_served: Vec<_> =
        waiting.into_iter().filter(|workflow| !served.contains(workflow.as_str())).collect();
    let named = not_served.iter().take(MAX_NAMED).map(|workflow| {
        let of = |counts: &BTreeMap<String, u64>| counts.get(*workflow).copied().unwrap_or(0);
        let waiting = [
            (of(&report.starts), "start message"),
            (of(&report.tickets), "ticket"),
            (of(&report.wakes), "wake-up"),
            (of(&report.signals), "signal"),
        ];
        let waiting: Vec<_> = waiting
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, of)| messages(number, of))
            .collect();
        let waiting = listed(&waiting);
        format!(
            "no running host serves workflow {workflow}: {waiting}; start a host that serves it, or check the name"
        )
    });
    let mut checks: Vec<_> =
        named.map(|details| check("not served", CheckStatus::Warning, details)).collect();
    if not_served.len() > MAX_NAMED {
        let more = not_served.len() - MAX_NAMED;
        let details = format!("{} more workflows have messages and no host", count(more as u64));
        checks.push(check("not served", CheckStatus::Warning, details));
    }
    checks
}

fn newer_tickets(newer: &BTreeMap<String, u64>) -> Vec<Check> {
    let sentence = |(workflow, number): (&String, &u64)| {
        let (tickets, are) = match number {
            1 => ("1 ticket".to_owned(), "is"),
            number => (format!("{} tickets", count(*number)), "are"),
        };
        format!(
            "{tickets} of workflow {workflow} {are} in a format of a newer version of Jetway: update its hosts"
        )
    };
    newer.iter().map(|found| check("newer tickets", CheckStatus::Warning, sentence(found))).collect()
}

/// How many alarms are armed, if there are any.
fn alarms(armed: &BTreeMap<String, u64>) -> Option<Check> {
    if armed.is_empty() {
        return None;
    }
    let details = format!("{} armed ({})", count(armed.values().sum()), most(armed));
    Some(check("alarms", CheckStatus::Ok, details))
}

/// How many signals wait, if there are any.
fn signals(report: &QueueReport) -> Option<Check> {
    let QueueReport { signals, signals_put_off, .. } = report;
    let mut waiting = Vec::new();
    if !signals.is_empty() {
        waiting.push(format!("{} to be applied ({})", count(signals.values().sum()), most(signals)));
    }
    if !signals_put_off.is_empty() {
        let (number, workflows) = (count(signals_put_off.values().sum()), most(signals_put_off));
        waiting.push(format!("{number} for runs that do not exist yet ({workflows})"));
    }
    (!waiting.is_empty()).then(|| check("signals", CheckStatus::Ok, listed(&waiting)))
}

/// The names with the highest numbers, as "5 a, 2 b".
fn most(numbers: &BTreeMap<String, u64>) -> String {
    let mut all: Vec<_> = numbers.iter().collect();
    all.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let named: Vec<_> =
        all.iter().take(MAX_NAMED).map(|(name, number)| format!("{} {name}", count(**number))).collect();
    let more = if all.len() > MAX_NAMED { ", ..." } else { "" };
    format!("{}{more}", named.join(", "))
}

fn dead_letters(report: &QueueReport) -> Check {
    const NAME: &str = "dead letters";
    let total: u64 = report.dead_letters.values().sum();
    if total == 0 {
        return check(NAME, CheckStatus::Ok, "none");
    }
    let details = format!(
        "{} ({}): read them with `nats stream view {}`",
        count(total),
        most(&report.dead_letters),
        report.dead_letter_stream
    );
    check(NAME, CheckStatus::Warning, details)
}

/// "a", "a and b", "a, b and c".
fn listed(texts: &[String]) -> String {
    match texts {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        texts => texts.concat(),
    }
}

/// "1 ticket waits", "2 tickets wait".
fn messages(number: u64, of: &str) -> String {
    match number {
        1 => format!("1 {of} waits"),
        number => format!("{} {of}s wait", count(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway::Timestamp;
    use serde_json::json;

    fn details(report: &QueueReport) -> Vec<(&'static str, String)> {
        let host = serde_json::from_value(json!({
            "host": "a", "workflows": [["chain", "1"]], "slots": 8, "started_at": "2026-01-01T00:00:00.000Z",
            "version": "0.1.0",
        }));
        let hosts = [host.unwrap()];
        of_report(report, Some(&hosts)).into_iter().map(|check| (check.name, check.details)).collect()
    }

    fn counts(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[test]
    fn a8_nothing_that_waits_is_no_warning() {
        let report = QueueReport { tickets: counts(&[("chain", 3)]), ..QueueReport::default() };
        assert_eq!(details(&report), [("dead letters", "none".to_owned())]);
    }

    #[test]
    fn a8_doctor_says_why_messages_wait() {
        let at = Timestamp::parse("2026-01-01T00:00:00.000Z").unwrap();
        let oldest = |age| OldestStart { workflow: "typo".to_owned(), at, age };
        let report = QueueReport {
            paused: vec![PausedConsumer {
                stream: "JETWAY_ns_WORK".to_owned(),
                consumer: "work_chain".to_owned(),
                delivers: "tickets",
                workflow: "chain".to_owned(),
                until: at,
            }],
            oldest_start: Some(oldest(OLD_START * 2)),
            starts: counts(&[("chain", 1), ("typo", 2)]),
            tickets: counts(&[("typo", 1)]),
            alarms: counts(&[("chain", 1000), ("typo", 2000)]),
            wakes: counts(&[("chain", 1), ("typo", 3)]),
            signals: counts(&[("chain", 1), ("typo", 4)]),
            signals_put_off: counts(&[("chain", 2)]),
            newer_tickets: counts(&[("chain", 1)]),
            dead_letters: counts(&[("chain.bad-input", 2), ("typo.unknown-workflow", 5)]),
            dead_letter_stream: "JETWAY_ns_DEAD".to_owned(),
        };
        let said = details(&report);
        let names: Vec<_> = said.iter().map(|(name, _)| *name).collect();
        let expected =
            ["paused", "old starts", "not served", "newer tickets", "alarms", "signals", "dead letters"];
        assert_eq!(names, expected);
        let starts_with = |check: usize, text: &str| assert!(said[check].1.starts_with(text), "{said:?}");
        starts_with(
            0,
            "consumer work_chain of stream JETWAY_ns_WORK is paused until 2026-01-01T00:00:00.000Z",
        );
        assert!(said[0].1.ends_with("`nats consumer resume -f JETWAY_ns_WORK work_chain`"), "{said:?}");
        starts_with(1, "3 start messages wait, the oldest since 2026-01-01T00:00:00.000Z (workflow typo)");
        starts_with(
            2,
            "no running host serves workflow typo: 2 start messages wait, 1 ticket waits, 3 wake-ups wait and 4 \
             signals wait; start",
        );
        starts_with(3, "1 ticket of workflow chain is in a format of a newer version of Jetway");
        assert!(old_starts(&report.starts, &oldest(OLD_START)).is_none());
        assert_eq!(said[4].1, "3,000 armed (2,000 typo, 1,000 chain)");
        assert_eq!(
            said[5].1,
            "5 to be applied (4 typo, 1 chain) and 2 for runs that do not exist yet (2 chain)"
        );
        assert_eq!(
            said[6].1,
            "7 (5 typo.unknown-workflow, 2 chain.bad-input): read them with `nats stream view JETWAY_ns_DEAD`"
        );
    }
}
