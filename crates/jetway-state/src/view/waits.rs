//! What the pending items of a run wait for, as data: for programs, where the sentence of a status is for people.

use super::signals;
use crate::{
    ItemId, Timestamp,
    run::{Bounded, Child, FanOut, PendingBranches, Snapshot, Status, Wait, pending_ticket},
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
    /// Since when the first of them is due, in RFC 3339, if it has waited for a time: it goes on as soon as a host takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_since: Option<String>,
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
    /// The time of the start of the run.
    Start,
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
    /// The deadline of the run, which comes before anything else that has a time. Once it has passed, or the limit of a clean-up has,
    /// a host that ends the run.
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
            Self::Start | Self::Timer | Self::Retry => "the time",
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
    /// What the pending items of a run wait for at `now`, by kind and node. What is due by then is ready.
    pub fn of(snapshot: &Snapshot, now: Timestamp) -> Vec<Self> {
        let mut groups = Groups::new(snapshot, now);
        if !snapshot.status.is_terminal() {
            for id in snapshot.items.keys() {
                groups.add_item(snapshot, id);
            }
            for (id, fan_out) in &snapshot.fan_outs {
                groups.add_fan_out(snapshot, id, fan_out);
            }
        }
        let mut views = groups.into_views();
        views.extend(deadline(snapshot, now, &views));
        views
    }

    /// Whether it depends on hosts alone when it ends.
    pub(super) fn is_ready(&self) -> bool {
        self.kind == WaitKind::Worker || (self.kind == WaitKind::Deadline && self.due_since.is_some())
    }

    /// Says of ready items whether there are hosts for them.
    pub fn of_hosts(waits: &mut [Self], hosts: HostsOf) {
        let kind = match hosts.state() {
            HostsState::None => WaitKind::NoHost,
            HostsState::Full => WaitKind::HostFull,
            HostsState::Free => WaitKind::Worker,
        };
        for wait in waits.iter_mut().filter(|wait| wait.is_ready()) {
            if wait.kind == WaitKind::Deadline {
                wait.moved_by = ends_by(kind);
            } else {
                (wait.kind, wait.moved_by) = (kind, kind.moved_by().to_owned());
            }
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
    due_since: Option<Timestamp>,
}

struct Groups {
    now: Timestamp,
    /// What the whole run waits for, whatever its items wait for beside that, and since when it is due.
    whole: Option<(WaitKind, Option<Timestamp>)>,
    by_key: BTreeMap<Key, Group>,
}

impl Groups {
    fn new(snapshot: &Snapshot, now: Timestamp) -> Self {
        let overdue = snapshot.ends_at().filter(|end| *end <= now);
        let whole = match snapshot.status {
            Status::Paused => Some((WaitKind::Paused, None)),
            _ => overdue.map(|end| (WaitKind::Deadline, Some(end))),
        };
        Self { now, whole, by_key: BTreeMap::new() }
    }

    fn add(&mut self, key: Key, more: Group) {
        if more.items == 0 {
            return;
        }
        let (key, more) = match self.whole {
            Some((kind, due_since)) => {
                (Key { kind, node: None, detail: None }, Group { until: None, due_since, ..more })
            }
            None => (key, more),
        };
        let group = self.by_key.entry(key).or_insert(Group { items: 0, ..more });
        group.items += more.items;
        group.since = group.since.min(more.since);
        group.until = [group.until, more.until].into_iter().flatten().min();
        group.due_since = [group.due_since, more.due_since].into_iter().flatten().min();
    }

    fn add_item(&mut self, snapshot: &Snapshot, id: &ItemId) {
        let Some(item) = snapshot.items.get(id) else { return };
        let (kind, detail) = what(snapshot, id, item.waits_for_slot, self.now);
        let (until, due_since) = times(snapshot, id, kind, self.now);
        let group = Group { items: 1, since: item.pending_since, until, due_since };
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
        for (at, item) in &own {
            let (kind, detail) = what(snapshot, item, branches.waits_for_slot(*at), self.now);
            let (until, due_since) = times(snapshot, item, kind, self.now);
            let group = Group { items: 1, since, until, due_since };
            self.add(Key { kind, node: node_of(branches, *at), detail }, group);
        }
        let now = self.now;
        let due = fan_out.due.filter(|due| *due > now);
        let group = |kind, items| {
            let due_since = fan_out.due.filter(|due| kind == WaitKind::Worker && *due <= now);
            Group { items, since, until: due, due_since }
        };
        let mut named = own.len();
        let mut add = |kind, node: Option<&String>, items: usize| {
            let kind = if due.is_some() { WaitKind::Timer } else { kind };
            named += items;
            let key = Key { kind, node: node.cloned(), detail: None };
            self.add(key, group(kind, items));
        };
        for (node, of) in &branches.bounded {
            let waiting = || of.waiting.iter().filter(|at| !own.contains_key(at));
            // The first that has waited for its time has a ticket while nothing runs at its node.
            let first = waiting().next().map(|at| ItemId::branch(id, at));
            let has_ticket = first.is_some_and(|first| pending_ticket(snapshot, &first, now).is_some());
            add(WaitKind::Worker, Some(node), usize::from(has_ticket));
            add(WaitKind::Slot, Some(node), waiting().count() - usize::from(has_ticket));
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
        self.add(Key { kind, node: None, detail: None }, group(kind, rest));
    }

    fn into_views(self) -> Vec<WaitView> {
        let mut groups: Vec<(Key, Group)> = self.by_key.into_iter().collect();
        groups.sort_by_key(|(_, group)| group.since);
        groups.truncate(LISTED);
        let views = groups.into_iter().map(|(Key { kind, node, detail }, group)| WaitView {
            kind,
            node,
            items: group.items,
            since: group.since.to_string(),
            until: group.until.map(|until| until.to_string()),
            detail,
            due_since: group.due_since.map(|due| due.to_string()),
            moved_by: match kind {
                WaitKind::Deadline => ends_by(WaitKind::Worker),
                _ => kind.moved_by().to_owned(),
            },
        });
        views.collect()
    }
}

/// The node of a branch, if the record has it.
fn node_of(branches: &PendingBranches, at: u32) -> Option<String> {
    let holds = |of: &Bounded| of.waiting.contains(at) || of.in_flight.contains_key(&at);
    let bounded = || branches.bounded.iter().find(|(_, of)| holds(of));
    let inline = branches.inline.get(&at).map(|branch| &branch.node);
    inline.or_else(|| bounded().map(|(node, _)| node)).cloned()
}

/// What ends a run whose time has passed.
fn ends_by(kind: WaitKind) -> String {
    format!("{}: then the run ends", kind.moved_by())
}

/// The deadline of a run that has not passed, if nothing else has an earlier time.
fn deadline(snapshot: &Snapshot, now: Timestamp, waits: &[WaitView]) -> Option<WaitView> {
    // The times have one form, in which the earlier one comes first.
    let until = snapshot.runs_until().filter(|until| *until > now)?.to_string();
    let is_next = waits.iter().filter_map(|wait| wait.until.as_ref()).all(|other| *other > until);
    let kind = WaitKind::Deadline;
    is_next.then(|| WaitView {
        kind,
        node: None,
        items: snapshot.pending(),
        since: snapshot.started_at.to_string(),
        until: Some(until),
        detail: None,
        due_since: None,
        moved_by: kind.moved_by().to_owned(),
    })
}

/// What a pending item waits for, as the record says it.
fn what(
    snapshot: &Snapshot,
    id: &ItemId,
    waits_for_slot: bool,
    now: Timestamp,
) -> (WaitKind, Option<String>) {
    if let Some(unreadable) = snapshot.unreadable.get(id) {
        return (WaitKind::Build, Some(format!("written by build {}", unreadable.written_by)));
    }
    let goes_on = child_is_over(snapshot, id, now);
    if let Some(child) = snapshot.children.get(id).filter(|_| !goes_on) {
        return (WaitKind::Child, Some(format!("{}{}", child.run, signals::beside_child(snapshot, id))));
    }
    if let Some(group) = snapshot.child_groups.get(id).filter(|_| !goes_on) {
        let (ended, count, open) = (group.ended.count, group.count, group.open.len());
        return (WaitKind::Child, Some(format!("{open} of {count} child runs, {ended} have ended")));
    }
    let waits = snapshot.due_of(id).is_some_and(|due| due > now);
    let error = || snapshot.failures.get(id).map(|failures| failures.latest.message.clone());
    match snapshot.waits.get(id) {
        Some(Wait::Retry { .. }) if waits => (WaitKind::Retry, error()),
        Some(Wait::Signal(wait)) if !wait.is_over(now) => {
            (WaitKind::Signal, Some(wait.missing().collect::<Vec<_>>().join(", ")))
        }
        Some(Wait::Person { .. }) => (WaitKind::Person, error()),
        _ if waits && snapshot.waits_to_start(id) => (WaitKind::Start, None),
        _ if waits => (WaitKind::Timer, None),
        // One that has waited for its time has a ticket while nothing runs at its node.
        _ if waits_for_slot && pending_ticket(snapshot, id, now).is_none() => (WaitKind::Slot, None),
        _ => (WaitKind::Worker, None),
    }
}

/// Whether an item that waits for child runs goes on before they have ended: something else has come, or a child run is late.
pub(super) fn child_is_over(snapshot: &Snapshot, id: &ItemId, now: Timestamp) -> bool {
    snapshot.first_of(id, false, now).is_some() || children_of(snapshot, id).any(|child| child.is_late(now))
}

/// The child runs that an item waits for.
fn children_of<'a>(snapshot: &'a Snapshot, id: &ItemId) -> impl Iterator<Item = &'a Child> {
    let group = snapshot.child_groups.get(id).into_iter().flat_map(|group| group.open.values());
    snapshot.children.get(id).into_iter().chain(group)
}

/// When the first child run of an item has to have ended, or when the item waits for its child run no longer.
fn child_due(snapshot: &Snapshot, id: &ItemId) -> Option<Timestamp> {
    let children = children_of(snapshot, id);
    let beside = snapshot.wait_beside_child(id).and_then(|wait| wait.due);
    children.filter_map(|child| child.due).chain(beside).min()
}

/// Until when an item waits at the latest, and, if it is ready, since when it is due.
fn times(
    snapshot: &Snapshot,
    id: &ItemId,
    kind: WaitKind,
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let dues = || [snapshot.due_of(id), child_due(snapshot, id)].into_iter().flatten();
    match kind {
        WaitKind::Start | WaitKind::Timer | WaitKind::Retry | WaitKind::Signal | WaitKind::Child => {
            (dues().filter(|due| *due > now).min(), None)
        }
        WaitKind::Worker => (None, dues().filter(|due| *due <= now).min()),
        _ => (None, None),
    }
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
        let views = WaitView::of(&begun(Some(200_000)), Timestamp(100));
        let json = serde_json::to_value(&views).unwrap();
        let expected = serde_json::json!([{
            "kind": "start", "node": "a", "items": 1, "since": "1970-01-01T00:00:00.100Z",
            "until": "1970-01-01T00:03:20.000Z", "moved_by": "the time",
        }]);
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Vec<WaitView>>(json).unwrap(), views);
    }

    #[test]
    fn ready_items_wait_for_hosts() {
        let kind = |hosts, queued| {
            let mut views = WaitView::of(&begun(None), Timestamp(100));
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
            let view = StatusView::new(&cancelled, Timestamp(0)).unwrap();
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
            WaitView::of(&snapshot, Timestamp(100)).into_iter().map(|wait| wait.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(None, 300_000), [WaitKind::Worker, WaitKind::Deadline]);
        assert_eq!(kinds(Some(200_000), 300_000), [WaitKind::Start]);
        assert_eq!(kinds(Some(300_001), 300_000), [WaitKind::Start, WaitKind::Deadline]);
        let snapshot = Snapshot { deadline: Some(Timestamp(300_000)), ..begun(None) };
        let views = WaitView::of(&snapshot, Timestamp(100));
        let expected = ("1970-01-01T00:05:00.000Z", "nothing: the run ends then");
        assert_eq!((views[1].until.as_deref(), views[1].moved_by.as_str()), (Some(expected.0), expected.1));
    }

    #[test]
    fn a_paused_run_waits_for_nothing_else() {
        let paused = control::pause(begun(Some(200_000)), CommitId::default(), Timestamp(300)).unwrap();
        let views = WaitView::of(&paused.snapshot, Timestamp(300));
        assert_eq!((views.len(), views[0].kind, views[0].items), (1, WaitKind::Paused, 1));
        assert_eq!(views[0].until, None, "no time ends a pause");
        let cancelled = control::cancel(paused.snapshot, CommitId::default(), Timestamp(300)).unwrap();
        assert_eq!(WaitView::of(&cancelled.snapshot, Timestamp(300)), []);
    }
}
