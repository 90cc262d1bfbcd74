//! Cancelling with clean-up, and terminating.
//!
//! A run whose workflow has `on_cancel` edges is *cancelling* for a while. Each of its items is one of two kinds:
//!
//! | item | what happens to it |
//! |---|---|
//! | cancelled: it was pending, or a step that was running created it | its node does not run; where the node has an `on_cancel` edge, its input goes to the target |
//! | clean-up: an `on_cancel` edge, or a clean-up step, created it | it runs as in any other run |
//!
//! When no item is left, or when the time for clean-up has passed, the run is cancelled. A record is written before anything is told
//! to anybody, so a cancel cannot get lost, and a step that is running then cannot complete the run.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the commit of the cancel | items that waited have no ticket, and the alarm of the limit is not armed | the same command again; the sweep |
//! | the commit that takes an item's `on_cancel` edge | what it created has no ticket | redelivery of the item's ticket |

use super::{
    attempt::{AttemptReport, EncodedOutcome},
    control::{cancel, end_run},
    effect::{Applied, Effect},
    snapshot::{Snapshot, Status},
    wait::{MAX_WAIT, WaitsBefore},
};
use crate::{CommitId, ItemId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// How many nodes are named that did not run within the limit.
const MAX_NODES: usize = 100;

/// That a run was cancelled, and how its clean-up goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// When the run was cancelled.
    pub at: Timestamp,
    /// When its clean-up ends at the latest; `None` if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why the run ended, or will end if nothing else happens.
    pub reason: CancelReason,
    /// The pending clean-up items, the fan-outs that clean-up opened, and the gathering nodes at which a clean-up value has arrived.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clean_up: BTreeSet<ItemId>,
    /// The nodes of the items that were pending when the limit had passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

/// Why a run is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CancelReason {
    /// Somebody cancelled it, and its clean-up has ended.
    #[serde(rename = "requested")]
    Requested,
    /// Somebody terminated it: there was no clean-up, or it was cut short.
    #[serde(rename = "terminated")]
    Terminated,
    /// Its clean-up did not end within its limit.
    #[serde(rename = "cleanup_timeout")]
    CleanUpTimeout,
    /// It was not done at its deadline, and its clean-up has ended. Such a run has failed.
    #[serde(rename = "deadline")]
    Deadline,
}

impl CancelReason {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Terminated => "terminated",
            Self::CleanUpTimeout => "cleanup_timeout",
            Self::Deadline => "deadline",
        }
    }

    /// The status of a run that is cancelled for this reason, when its clean-up is over.
    pub(super) fn end_status(self) -> Status {
        match self {
            Self::Requested | Self::Terminated | Self::CleanUpTimeout => Status::Cancelled,
            Self::Deadline => Status::Failed,
        }
    }
}

impl std::fmt::Display for CancelReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Snapshot {
    /// Whether a pending item, or a fan-out, belongs to the clean-up of a cancelled run.
    pub fn is_clean_up(&self, id: &ItemId) -> bool {
        let Some(cancel) = &self.cancel else { return false };
        cancel.clean_up.contains(id)
            || id.as_branch().is_some_and(|(fan_out, _)| cancel.clean_up.contains(&fan_out))
    }

    /// Whether a pending item, or a fan-out, is cancelled: its node does not run any more, but its `on_cancel` edge may be taken.
    pub fn is_cancelled(&self, id: &ItemId) -> bool {
        self.status == Status::Cancelling && !self.is_clean_up(id)
    }

    /// Whether the node of a pending item may run.
    pub fn may_run(&self, id: &ItemId) -> bool {
        self.status.is_active() && !self.is_cancelled(id)
    }

    /// When the clean-up of a cancelling run has to end.
    pub fn clean_up_until(&self) -> Option<Timestamp> {
        self.cancel.as_ref().filter(|_| self.status == Status::Cancelling)?.until
    }

    /// Whether the limit of the clean-up of a cancelling run has passed.
    pub fn clean_up_is_over(&self, now: Timestamp) -> bool {
        self.clean_up_until().is_some_and(|until| until <= now)
    }

    /// Whether an attempt changes nothing: it belongs to another incarnation, the run has ended, or it has to give way.
    pub(super) fn discards(&self, attempt: &AttemptReport) -> bool {
        self.status.is_terminal() || self.incarnation != attempt.incarnation || self.gives_way(attempt)
    }

    /// Whether an attempt does not fit the state of its item. If the run was cancelled while a node ran that did not succeed, the
    /// item has to be cleaned up instead. And only cancelled items are cleaned up.
    fn gives_way(&self, attempt: &AttemptReport) -> bool {
        match &attempt.produced {
            EncodedOutcome::Next(_)
            | EncodedOutcome::NextLater(..)
            | EncodedOutcome::NextAll(_)
            | EncodedOutcome::Hold
            | EncodedOutcome::Started(_)
            | EncodedOutcome::StartedMany(..) => false,
            EncodedOutcome::Retry(..)
            | EncodedOutcome::Admit
            | EncodedOutcome::WaitFor(_)
            | EncodedOutcome::Await(_)
            | EncodedOutcome::AwaitMany(_)
            | EncodedOutcome::Handled(..)
            | EncodedOutcome::ContinueAsNew(_)
            | EncodedOutcome::Failed(_) => self.is_cancelled(&attempt.item),
            EncodedOutcome::CleanUp(_) => !self.is_cancelled(&attempt.item),
        }
    }

    /// Marks what a clean-up item creates.
    pub(super) fn mark_clean_up(&mut self, id: &ItemId) {
        if let Some(cancel) = &mut self.cancel {
            cancel.clean_up.insert(id.clone());
        }
    }

    /// Forgets what is no longer pending.
    pub(super) fn unmark_clean_up(&mut self, id: &ItemId) {
        if let Some(cancel) = &mut self.cancel {
            cancel.clean_up.remove(id);
        }
    }

    /// The nodes of pending items, each once, as far as the record names them.
    fn pending_nodes(&self) -> Vec<String> {
        let branches = self.fan_outs.values().flat_map(|fan_out| fan_out.branches.inline.values());
        let nodes = self.items.values().map(|item| &item.node).chain(branches.map(|branch| &branch.node));
        let nodes: BTreeSet<_> = nodes.collect();
        nodes.into_iter().take(MAX_NODES).cloned().collect()
    }
}

/// Cancels a run. One whose workflow has `on_cancel` edges is cancelling until its clean-up has ended, which takes `limit` at most. So is
/// one that waits for a child run whose policy is to be waited for.
///
/// `None` if the run has ended, or is being cancelled.
pub fn cancel_with_clean_up(
    snapshot: Snapshot,
    commit: CommitId,
    at: Timestamp,
    limit: Duration,
) -> Option<Applied> {
    match snapshot.status {
        Status::Running | Status::Paused
            if !snapshot.has_clean_up && !snapshot.has_children_to_wait_for() =>
        {
            cancel(snapshot, commit, at)
        }
        Status::Running | Status::Paused => {
            Some(begin_clean_up(snapshot, commit, at, limit, CancelReason::Requested))
        }
        Status::Cancelling | Status::Completed | Status::Failed | Status::Cancelled => None,
    }
}

/// The run is cancelling from now on.
pub(super) fn begin_clean_up(
    mut snapshot: Snapshot,
    commit: CommitId,
    at: Timestamp,
    limit: Duration,
    reason: CancelReason,
) -> Applied {
    let (since, at) = (snapshot.updated_at, snapshot.next_time(at));
    let was_paused = snapshot.status == Status::Paused;
    // What has just become due may have a ticket already, and its node may be running.
    let just_due = snapshot.dues().any(|due| due > since && due <= at);
    let waits = WaitsBefore::of(&snapshot);
    let woken = release(&mut snapshot, at);
    snapshot.status = Status::Cancelling;
    let until = at.after(limit.min(MAX_WAIT));
    snapshot.cancel =
        Some(Cancellation { at, until: Some(until), reason, clean_up: BTreeSet::new(), not_run: Vec::new() });
    snapshot.commit = commit;
    snapshot.updated_at = at;
    // The alarm comes first: the end of a run that is cleaned up soon has to find it.
    let mut effects = vec![Effect::ArmAlarm { since: at }];
    if !waits.was_armed_for(until) {
        waits.disarm(at, &mut effects);
    }
    effects.push(Effect::TellHosts);
    if !woken.is_empty() {
        effects.push(Effect::WakeItems(woken));
    }
    if was_paused || just_due {
        effects.push(Effect::PublishMissing);
    }
    Applied { snapshot, tickets: Vec::new(), effects }
}

/// Ends all waits of a run: its items are ready for their clean-up at once. Returns those that had no ticket: nobody runs them.
fn release(snapshot: &mut Snapshot, now: Timestamp) -> Vec<ItemId> {
    let waiting = snapshot.waits.iter().filter(|(_, wait)| !wait.is_over(now));
    let mut woken: BTreeSet<ItemId> = waiting.map(|(id, _)| id.clone()).collect();
    snapshot.put_back_all_signals();
    let children = snapshot.awaited_children().filter(|(_, child)| child.started.is_some());
    let children = children.filter(|(item, _)| !snapshot.outlasts_cancel(item)).map(|(item, _)| item.clone());
    let children: Vec<ItemId> = children.collect();
    let Snapshot { items, fan_outs, unreadable, .. } = snapshot;
    woken.extend(std::mem::take(unreadable).into_keys());
    woken.extend(children);
    for (id, item) in items.iter_mut() {
        if std::mem::take(&mut item.waits_for_slot) {
            woken.insert(id.clone());
        }
    }
    for (id, fan_out) in fan_outs.iter_mut() {
        fan_out.gather_due = None;
        let slept = fan_out.due.take().is_some_and(|due| due > now);
        let branches = &mut fan_out.branches;
        for bounded in branches.bounded.values_mut() {
            let waiting = std::mem::take(&mut bounded.waiting);
            woken.extend(waiting.iter().map(|position| ItemId::branch(id, position)));
        }
        if slept {
            woken.extend(branches.open_positions().map(|position| ItemId::branch(id, position)));
        }
    }
    woken.into_iter().collect()
}

/// Ends a run as cancelled at once: pending items are dropped, and running steps are discarded. A clean-up is cut short.
///
/// `None` if the run has ended: an end is final.
pub fn terminate(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    end_cancelled(snapshot, CancelReason::Terminated, commit, at)
}

/// Ends a run whose clean-up has not ended within its limit. `None` if the limit has not passed.
pub(super) fn end_clean_up(snapshot: Snapshot, commit: CommitId, at: Timestamp) -> Option<Applied> {
    let is_over = snapshot.clean_up_is_over(at);
    is_over.then(|| end_cancelled(snapshot, CancelReason::CleanUpTimeout, commit, at))?
}

/// Ends a run as cancelled.
pub(super) fn end_cancelled(
    mut snapshot: Snapshot,
    reason: CancelReason,
    commit: CommitId,
    at: Timestamp,
) -> Option<Applied> {
    if snapshot.status.is_terminal() {
        return None;
    }
    let not_run = match reason {
        CancelReason::CleanUpTimeout => snapshot.pending_nodes(),
        CancelReason::Requested | CancelReason::Terminated | CancelReason::Deadline => Vec::new(),
    };
    let at = snapshot.next_time(at);
    let before = snapshot.cancel.take();
    // Whatever becomes of the clean-up after a deadline: the run has failed. Unless somebody terminates it.
    let why = before.as_ref().filter(|_| reason == CancelReason::CleanUpTimeout);
    let status = why.map_or(reason, |cancel| cancel.reason).end_status();
    let (began, until) = before.map_or((at, None), |cancel| (cancel.at, cancel.until));
    snapshot.cancel = Some(Cancellation { at: began, until, reason, clean_up: BTreeSet::new(), not_run });
    let mut applied = end_run(snapshot, status, commit, at)?;
    applied.effects.insert(0, Effect::TellHosts);
    Some(applied)
}
