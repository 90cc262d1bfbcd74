//! The sentence of a status: why the run makes no progress.

use super::{
    BuildWaitView, HostsOf, StatusView, WaitKind, WaitView, cancel, person, signals,
    waits::{HostsState, child_is_over},
};
use crate::{
    Rounded, Timestamp,
    run::{AlarmWanted, Snapshot, Status},
};

impl StatusView {
    /// Whether items are ready, or the run has to end, so that it depends on hosts whether it goes on.
    pub fn depends_on_hosts(&self) -> bool {
        self.waits.iter().any(WaitView::is_ready)
    }

    /// Adds what is known of the hosts of the workflow: none is alive, or all are full.
    #[must_use]
    pub fn with_hosts(mut self, hosts: HostsOf) -> Self {
        let is_ready = self.depends_on_hosts();
        let since = self.due_since();
        WaitView::of_hosts(&mut self.waits, hosts);
        let ends = self.waits.iter().any(|wait| wait.kind == WaitKind::Deadline && wait.is_ready());
        let is_open = self.waiting_for.is_none() || self.run.status == Status::Cancelling || ends;
        if self.run.status.is_active() && is_open {
            let workflow = self.run.workflow.as_str();
            let why = match hosts.state() {
                HostsState::None => Some(format!("no live host serves the workflow {workflow:?}")),
                HostsState::Full if is_ready => Some(format!(
                    "a free slot: the hosts of workflow {workflow:?} run {} steps, as many as they may",
                    hosts.slots
                )),
                HostsState::Full | HostsState::Free => None,
            };
            let sentence =
                why.map(|why| since.map_or_else(|| why.clone(), |since| format!("{since}; {why}")));
            self.waiting_for = sentence.or(self.waiting_for);
        }
        self
    }

    /// Since when the run waits for a host alone, if it has waited for a time before.
    fn due_since(&self) -> Option<String> {
        let due = self.waits.iter().filter(|wait| wait.is_ready() && wait.due_since.is_some());
        // The times have one form, in which the earlier one comes first.
        let first = due.min_by_key(|wait| &wait.due_since)?;
        if first.kind == WaitKind::Deadline {
            return self.waiting_for.clone();
        }
        let node = first.node.as_ref().map_or_else(String::new, |node| format!(", for node {node:?}"));
        Some(format!("due since {}{node}", first.due_since.as_deref()?))
    }
}

/// Why the run makes no progress at `now`, as far as its record says.
pub(super) fn waiting_for(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    match snapshot.status {
        Status::Paused => Some(paused(snapshot, now)),
        Status::Running | Status::Cancelling if snapshot.is_overdue(now) => overdue(snapshot),
        Status::Running if !snapshot.unreadable.is_empty() => {
            BuildWaitView::of(snapshot).first().map(ToString::to_string)
        }
        Status::Running if snapshot.waits_for_children() => children(snapshot, now),
        Status::Running if snapshot.waits_for_persons_alone() => person::sentence(snapshot),
        Status::Running if snapshot.is_asleep(now) => {
            signals::sentence(snapshot, now).or_else(|| timer(snapshot, now))
        }
        Status::Cancelling => cancel::waiting_for(snapshot),
        Status::Running | Status::Completed | Status::Failed | Status::Cancelled => None,
    }
}

/// A pause does not count for the deadline.
fn paused(snapshot: &Snapshot, now: Timestamp) -> String {
    let pause = "the run is paused: resume it";
    match snapshot.deadline_at(now) {
        Some(deadline) if deadline > now => {
            let left = Rounded(deadline.since(now));
            format!("{pause}; the pause does not count, and leaves {left} to its deadline")
        }
        Some(_) => format!("{pause}; its deadline had passed before the pause: it ends then"),
        None => pause.to_owned(),
    }
}

/// The time has passed at which a host has to end the run.
fn overdue(snapshot: &Snapshot) -> Option<String> {
    let (end, since) = match snapshot.runs_until() {
        Some(deadline) => ("the end of the run", deadline),
        None => ("the end of its clean-up", snapshot.clean_up_until()?),
    };
    Some(format!("{end}, due since {since}"))
}

/// The child runs that a run waits for; `None` if an item of theirs is ready.
fn children(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    if snapshot.awaited_children().any(|(item, _)| child_is_over(snapshot, item, now)) {
        return None;
    }
    let (item, first) = snapshot.awaited_children().next()?;
    Some(match snapshot.awaited_children().count() {
        1 => format!("child run {}{}", first.run, signals::beside_child(snapshot, item)),
        children => format!("{children} child runs, such as {}", first.run),
    })
}

/// The time that a run waits for: the first, if there are several.
fn timer(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    let AlarmWanted { due, ticket: item } = snapshot.first_due(now)?;
    if snapshot.waits_to_start(&item.item) {
        return Some(format!("the time of its start, {due}"));
    }
    let node = item.node.map_or_else(String::new, |node| format!(", for node {node:?}"));
    let waiting = snapshot.pending() - snapshot.waiting_for_person().count();
    if let (1, Some(failures)) = (waiting, snapshot.failures.get(&item.item)) {
        let (next, error) = (snapshot.attempt_at(&item.item), &failures.latest.message);
        return Some(format!(
            "attempt {next}{node}, due at {due}; attempt {} failed: {error}",
            failures.latest.attempt
        ));
    }
    Some(match waiting {
        1 => format!("a timer, due at {due}{node}"),
        items => format!("{items} timers, the first due at {due}{node}"),
    })
}

#[cfg(test)]
mod tests;
