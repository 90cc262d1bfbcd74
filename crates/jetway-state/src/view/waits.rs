//! What the pending items of a run wait for, as data: for programs, where the sentence of a status is for people.

use super::signals;
use crate::{
    ItemId, Timestamp,
    run::{FanOut, Snapshot, Status, Wait},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many kinds of waits a status lists, at most. The longest waits come first.
const LISTED: usize = 100;

/// What some pending items of a run wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    /// What they wait for.
    pub kind: WaitKind,
    /// Their node; `None` for branches whose inputs are in chunks, and for a wait of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Their number.
    pub items: usize,
    /// Since when the oldest of them is pending, in RFC 3339.
    pub since: String,
    /// When the first of them goes on at the latest, in RFC 3339, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Which child run, which build, or which error of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What makes them go on.
    pub moved_by: String,
}

/// The kinds of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The run is paused.
    Paused,
    /// A host of a build that can read the items.
    Build,
    /// A time.
    Timer,
    /// The next attempt, after one that failed.
    Retry,
    /// A signal.
    Signal,
    /// A person, who retries items whose attempts are used up.
    Person,
    /// The end of a child run.
    Child,
    /// A slot at the node, which has a limit (`at_most`).
    Slot,
    /// The deadline of the run, which comes before anything else that has a time.
    Deadline,
    /// A host that serves the workflow: none is alive.
    NoHost,
    /// A free slot of a host: all hosts that serve the workflow run as many steps as they may.
    HostFull,
    /// Nothing: the items are ready. A worker runs them, or takes them next.
    Worker,
}

impl WaitKind {
    fn moved_by(self) -> &'static str {
        match self {
            Self::Paused => "a resume of the run",
            Self::Build => "a host of a build that can read them",
            Self::Timer | Self::Retry => "the time",
            Self::Signal => "the signal",
            Self::Person => "a retry by a person",
            Self::Child => "the end of the child run",
            Self::Slot => "the end of another item of the node",
            Self::Deadline => "nothing: the run ends then",
            Self::NoHost => "a host that serves the workflow",
            Self::HostFull => "the end of another step on a host, or a further host",
            Self::Worker => "a worker",
        }
    }
}

/// The hosts of a workflow, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostsOf {
    /// How many live hosts serve it.
    pub hosts: usize,
    /// How many steps they run at once, together.
    pub slots: usize,
    /// How many of its tickets nobody holds: a host takes one for each free slot. `None` if that is not known.
    pub queued: Option<u64>,
}

/// Whether hosts of a workflow can take a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostsState {
    None,
    Full,
    Free,
}

impl HostsOf {
    pub(super) fn state(self) -> HostsState {
        match self.queued {
            _ if self.hosts == 0 => HostsState::None,
            Some(1..) => HostsState::Full,
            Some(0) | None => HostsState::Free,
        }
    }
}

impl WaitView {
    /// What the pending items of a run wait for, by kind and node. What had become due at the last commit is ready.
    pub fn of(snapshot: &Snapshot) -> Vec<Self> {
        let mut groups = Groups { paused: snapshot.status == Status::Paused, ..Groups::default() };
        if !snapshot.status.is_terminal() {
            for id in snapshot.items.keys() {
                groups.add_item(snapshot, id);
            }
            for (id, fan_out) in &snapshot.fan_outs {
                groups.add_fan_out(snapshot, id, fan_out);
            }
        }
        let mut views = groups.into_views();
        views.extend(deadline(snapshot, &views));
        views
    }

    /// Says of ready items whether there are hosts for them.
    pub fn of_hosts(waits: &mut [Self], hosts: HostsOf) {
        let ready = waits.iter_mut().filter(|wait| wait.kind == WaitKind::Worker);
        for wait in ready {
            wait.kind = match hosts.state() {
                HostsState::None => WaitKind::NoHost,
                HostsState::Full => WaitKind::HostFull,
                HostsState::Free => WaitKind::Worker,
            };
            wait.kind.moved_by().clone_into(&mut wait.moved_by);
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: WaitKind,
    node: Option<String>,
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    items: usize,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Default)]
struct Groups {
    paused: bool,
    by_key: BTreeMap<Key, Group>,
}

impl Groups {
    fn add(&mut self, key: Key, more: Group) {
        if more.items == 0 {
            return;
        }
        // A paused run goes on with nothing, whatever its items wait for beside that.
        let (key, more) = match self.paused {
            true => (Key { kind: WaitKind::Paused, node: None, detail: None }, Group { until: None, ..more }),
            false => (key, more),
        };
        let group = self.by_key.entry(key).or_insert(Group { items: 0, ..more });
        group.items += more.items;
        group.since = group.since.min(more.since);
        group.until = [group.until, more.until].into_iter().flatten().min();
    }

    fn add_item(&mut self, snapshot: &Snapshot, id: &ItemId) {
        let Some(item) = snapshot.items.get(id) else { return };
        let (kind, detail) = what(snapshot, id, item.waits_for_slot);
        let until = until(kind, snapshot.due_of(id)).or_else(|| child_due(snapshot, id));
        let group = Group { items: 1, since: item.pending_since, until };
        self.add(Key { kind, node: Some(item.node.clone()), detail }, group);
    }

    /// The branches of a fan-out: those that have something of their own one by one, the others together.
    fn add_fan_out(&mut self, snapshot: &Snapshot, id: &ItemId, fan_out: &FanOut) {
        let (branches, since) = (&fan_out.branches, fan_out.pending_since);
        let children = snapshot.children.keys().chain(snapshot.child_groups.keys());
        let own = children.chain(snapshot.waits.keys()).chain(snapshot.unreadable.keys());
        let own =
            own.filter_map(|item| item.as_branch().filter(|(of, _)| of == id).map(|(_, at)| (at, item)));
        let own: BTreeMap<u32, &ItemId> = own.filter(|(at, _)| branches.is_open(*at)).collect();
        let node_of = |at: u32| {
            let bounded = || {
                branches
                    .bounded
                    .iter()
                    .find(|(_, of)| of.waiting.contains(at) || of.in_flight.contains_key(&at))
            };
            let inline = branches.inline.get(&at).map(|branch| &branch.node);
            inline.or_else(|| bounded().map(|(node, _)| node)).cloned()
        };
        for (at, item) in &own {
            let (kind, detail) = what(snapshot, item, branches.waits_for_slot(*at));
            let until = until(kind, snapshot.due_of(item)).or_else(|| child_due(snapshot, item));
            let group = Group { items: 1, since, until };
            self.add(Key { kind, node: node_of(*at), detail }, group);
        }
        let due = fan_out.due.filter(|due| *due > snapshot.updated_at);
        let mut named = own.len();
        let mut add = |kind, node: Option<&String>, items: usize| {
            let kind = if due.is_some() { WaitKind::Timer } else { kind };
            named += items;
            let key = Key { kind, node: node.cloned(), detail: None };
            self.add(key, Group { items, since, until: until(kind, due) });
        };
        for (node, of) in &branches.bounded {
            add(WaitKind::Slot, Some(node), of.waiting.iter().filter(|at| !own.contains_key(at)).count());
            add(WaitKind::Worker, Some(node), of.in_flight.keys().filter(|at| !own.contains_key(at)).count());
        }
        let unbounded = branches
            .inline
            .iter()
            .filter(|(at, branch)| !own.contains_key(at) && !branches.bounded.contains_key(&branch.node));
        for (_, branch) in unbounded {
            add(WaitKind::Worker, Some(&branch.node), 1);
        }
        let rest = (branches.open() as usize).saturating_sub(named);
        let kind = if due.is_some() { WaitKind::Timer } else { WaitKind::Worker };
        self.add(
            Key { kind, node: None, detail: None },
            Group { items: rest, since, until: until(kind, due) },
        );
    }

    fn into_views(self) -> Vec<WaitView> {
        let mut groups: Vec<(Key, Group)> = self.by_key.into_iter().collect();
        groups.sort_by_key(|(_, group)| group.since);
        groups.truncate(LISTED);
        let views =
            groups.into_iter().map(|(Key { kind, node, detail }, Group { items, since, until })| WaitView {
                kind,
                node,
                items,
                since: since.to_string(),
                until: until.map(|until| until.to_string()),
                detail,
                moved_by: kind.moved_by().to_owned(),
            });
        views.collect()
    }
}

/// The deadline of a run, if nothing else has an earlier time.
fn deadline(snapshot: &Snapshot, waits: &[WaitView]) -> Option<WaitView> {
    // The times have one form, in which the earlier one comes first.
    let until = snapshot.runs_until()?.to_string();
    let is_next = waits.iter().filter_map(|wait| wait.until.as_ref()).all(|other| *other > until);
    let kind = WaitKind::Deadline;
    is_next.then(|| WaitView {
        kind,
        node: None,
        items: snapshot.pending(),
        since: snapshot.started_at.to_string(),
        until: Some(until),
        detail: None,
        moved_by: kind.moved_by().to_owned(),
    })
}

/// What a pending item waits for, as the record says it.
fn what(snapshot: &Snapshot, id: &ItemId, waits_for_slot: bool) -> (WaitKind, Option<String>) {
    if let Some(unreadable) = snapshot.unreadable.get(id) {
        return (WaitKind::Build, Some(format!("written by build {}", unreadable.written_by)));
    }
    let has_come = snapshot.first_of(id, false, snapshot.updated_at).is_some();
    if let Some(child) = snapshot.children.get(id).filter(|_| !has_come) {
        return (WaitKind::Child, Some(format!("{}{}", child.run, signals::beside_child(snapshot, id))));
    }
    if let Some(group) = snapshot.child_groups.get(id) {
        let (ended, count, open) = (group.ended.count, group.count, group.open.len());
        return (WaitKind::Child, Some(format!("{open} of {count} child runs, {ended} have ended")));
    }
    let waits = snapshot.due_of(id).is_some_and(|due| due > snapshot.updated_at);
    let error = || snapshot.failures.get(id).map(|failures| failures.latest.message.clone());
    match snapshot.waits.get(id) {
        Some(Wait::Retry { .. }) if waits => (WaitKind::Retry, error()),
        Some(Wait::Signal(wait)) if !wait.is_over(snapshot.updated_at) => {
            (WaitKind::Signal, Some(wait.missing().collect::<Vec<_>>().join(", ")))
        }
        Some(Wait::Person { .. }) => (WaitKind::Person, error()),
        _ if waits => (WaitKind::Timer, None),
        _ if waits_for_slot => (WaitKind::Slot, None),
        _ => (WaitKind::Worker, None),
    }
}

/// When the first child run of an item has to have ended, or when the item waits for its child run no longer.
fn child_due(snapshot: &Snapshot, id: &ItemId) -> Option<Timestamp> {
    let group = snapshot.child_groups.get(id).into_iter().flat_map(|group| group.open.values());
    let children = snapshot.children.get(id).into_iter().chain(group);
    let beside = snapshot.wait_beside_child(id).and_then(|wait| wait.due);
    children.filter_map(|child| child.due).chain(beside).min()
}

/// Until when an item waits, if it waits for a time.
fn until(kind: WaitKind, due: Option<Timestamp>) -> Option<Timestamp> {
    due.filter(|_| matches!(kind, WaitKind::Timer | WaitKind::Retry | WaitKind::Signal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommitId, Incarnation, RunId, RunKey, WorkflowName,
        run::{Begin, RunInput, Trace, begin, cancel_with_clean_up, control},
        view::StatusView,
    };
    use bytes::Bytes;

    fn begun(due: Option<u64>) -> Snapshot {
        let key = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap());
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let (incarnation, commit, trace) = (Incarnation::default(), CommitId::default(), Trace::default());
        let at = Timestamp(100);
        begin(Begin { key, incarnation, commit, at, due: due.map(Timestamp), trace, input }).0
    }

    #[test]
    fn a_wait_is_json_with_stable_words() {
        let views = WaitView::of(&begun(Some(200_000)));
        let json = serde_json::to_value(&views).unwrap();
        let expected = serde_json::json!([{
            "kind": "timer", "node": "a", "items": 1, "since": "1970-01-01T00:00:00.100Z",
            "until": "1970-01-01T00:03:20.000Z", "moved_by": "the time",
        }]);
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Vec<WaitView>>(json).unwrap(), views);
    }

    #[test]
    fn ready_items_wait_for_hosts() {
        let kind = |hosts, queued| {
            let mut views = WaitView::of(&begun(None));
            WaitView::of_hosts(&mut views, HostsOf { hosts, slots: 4, queued });
            (views[0].kind, views[0].moved_by.clone())
        };
        assert_eq!(kind(0, None).0, WaitKind::NoHost);
        assert_eq!(kind(1, None), (WaitKind::Worker, "a worker".to_owned()));
        assert_eq!(kind(1, Some(0)).0, WaitKind::Worker);
        assert_eq!(kind(1, Some(1)).0, WaitKind::HostFull);
    }

    #[test]
    fn a_clean_up_is_named_unless_hosts_are_why_it_waits() {
        let snapshot = Snapshot { has_clean_up: true, ..begun(None) };
        let limit = std::time::Duration::from_secs(60);
        let cancelled =
            cancel_with_clean_up(snapshot, CommitId::default(), Timestamp(300), limit).unwrap().snapshot;
        let says = |hosts, queued| {
            let view = StatusView::new(&cancelled).unwrap();
            view.with_hosts(HostsOf { hosts, slots: 4, queued }).waiting_for.unwrap()
        };
        for queued in [None, Some(0)] {
            assert!(says(1, queued).starts_with("its clean-up, which ends at "), "{}", says(1, queued));
        }
        assert!(says(0, None).starts_with("no live host"));
        assert!(says(1, Some(1)).starts_with("a free slot"));
    }

    #[test]
    fn a_deadline_is_shown_if_nothing_comes_earlier() {
        let kinds = |due, deadline| {
            let snapshot = Snapshot { deadline: Some(Timestamp(deadline)), ..begun(due) };
            WaitView::of(&snapshot).into_iter().map(|wait| wait.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(None, 300_000), [WaitKind::Worker, WaitKind::Deadline]);
        assert_eq!(kinds(Some(200_000), 300_000), [WaitKind::Timer]);
        assert_eq!(kinds(Some(300_001), 300_000), [WaitKind::Timer, WaitKind::Deadline]);
        let snapshot = Snapshot { deadline: Some(Timestamp(300_000)), ..begun(None) };
        let views = WaitView::of(&snapshot);
        let expected = ("1970-01-01T00:05:00.000Z", "nothing: the run ends then");
        assert_eq!((views[1].until.as_deref(), views[1].moved_by.as_str()), (Some(expected.0), expected.1));
    }

    #[test]
    fn a_paused_run_waits_for_nothing_else() {
        let paused = control::pause(begun(Some(200_000)), CommitId::default(), Timestamp(300)).unwrap();
        let views = WaitView::of(&paused.snapshot);
        assert_eq!((views.len(), views[0].kind, views[0].items), (1, WaitKind::Paused, 1));
        assert_eq!(views[0].until, None, "no time ends a pause");
        let cancelled = control::cancel(paused.snapshot, CommitId::default(), Timestamp(300)).unwrap();
        assert_eq!(WaitView::of(&cancelled.snapshot), []);
    }
}
