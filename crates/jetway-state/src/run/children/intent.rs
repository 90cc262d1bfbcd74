//! What a run means to do to its child runs, until it is done.
//!
//! A commit writes its intents into the record. Whoever carries them out writes the record again without them: also the record of a run
//! that has ended, which is kept until then.

use super::OnParentCancel;
use crate::{
    CommitId, Fingerprint, Incarnation, ItemId, RunKey, Seen, Timestamp,
    run::{
        begin::RunInput,
        effect::Effect,
        snapshot::{Child, Snapshot},
    },
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a run means to do to a child run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChildIntent {
    /// Start it: nobody waits for it.
    Start(Box<ChildStart>),
    /// Cancel it.
    Cancel {
        /// The run.
        run: RunKey,
        /// The item that has waited for it.
        item: ItemId,
        /// Its record at its start.
        seen: Seen,
        /// The incarnation of the item, if its run has continued as new since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Incarnation>,
    },
    /// Keep it from being started, and cancel it if it is.
    Prevent {
        /// The run.
        run: RunKey,
        /// The item that has waited for it.
        item: ItemId,
        /// If it is started, it goes on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        spare: bool,
        /// The incarnation of the item, if its run has continued as new since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Incarnation>,
    },
}

/// A detached child run to start. Any host can start it, also one that does not serve its workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStart {
    /// The run.
    pub run: RunKey,
    /// Its first work item and its context.
    pub input: RunInput,
    /// The build that can run it.
    pub build: Fingerprint,
    /// Whether its workflow has `on_cancel` edges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_clean_up: bool,
    /// How long it may take, as its workflow says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Duration>,
}

impl ChildIntent {
    /// The child run.
    pub fn run(&self) -> &RunKey {
        match self {
            Self::Start(start) => &start.run,
            Self::Cancel { run, .. } | Self::Prevent { run, .. } => run,
        }
    }

    /// The same intent, of a run that has continued as new from an incarnation.
    pub(in crate::run) fn left_by(mut self, former: Incarnation) -> Self {
        match &mut self {
            Self::Start(_) => {}
            Self::Cancel { of, .. } | Self::Prevent { of, .. } => *of = of.or(Some(former)),
        }
        self
    }

    /// What to do to a child run of an item that does not wait for it any more; `None` for nothing.
    fn to_give_up(item: &ItemId, child: Child, is_ended: bool) -> Option<Self> {
        let (item, run, spare) = (item.clone(), child.run, child.on_cancel != OnParentCancel::Cancel);
        match child.started {
            None => Some(Self::Prevent { run, item, spare, of: None }),
            Some(_) if spare || is_ended => None,
            Some(seen) => Some(Self::Cancel { run, item, seen, of: None }),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Start(start) => start.input.payload.len() + start.input.context.len() + 128,
            Self::Cancel { .. } | Self::Prevent { .. } => 128,
        }
    }
}

/// Writes intents into the record, and asks for them to be carried out.
pub(in crate::run) fn intend(
    snapshot: &mut Snapshot,
    intents: impl IntoIterator<Item = ChildIntent>,
    effects: &mut Vec<Effect>,
) {
    let before = effects.len();
    for intent in intents {
        if !snapshot.intents.contains(&intent) {
            snapshot.intents.push(intent.clone());
        }
        effects.push(Effect::Child(intent));
    }
    if effects.len() > before {
        effects.push(Effect::CloseIntents);
    }
}

/// The item does not wait for its child runs any more, since it has run, or is cleaned up. Those that are known to be started have ended
/// by then, with three exceptions: their time has passed; a signal or a deadline came first; or they are of a group, and the item has
/// not `succeeded`.
pub(in crate::run) fn give_up_children(
    snapshot: &mut Snapshot,
    item: &ItemId,
    succeeded: bool,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    // Before the child is removed.
    let came_second = snapshot.first_of(item, false, now).is_some();
    let child = snapshot.children.remove(item);
    let group = snapshot.child_groups.remove(item);
    let is_cancelled = snapshot.is_cancelled(item) && !succeeded;
    let give_up = |child: Child, has_ended: bool| {
        // The time is up whatever the policy for a cancelled parent says.
        let is_late = child.is_late(now);
        let on_cancel = if is_late { OnParentCancel::Cancel } else { child.on_cancel };
        ChildIntent::to_give_up(item, Child { on_cancel, ..child }, has_ended && !is_late)
    };
    let single = child.and_then(|child| give_up(child, !is_cancelled && !came_second));
    let (open, chunks) = group.map(|group| (group.open, group.ended.chunks)).unwrap_or_default();
    let grouped = open.into_values().filter_map(|child| give_up(child, succeeded));
    let intents: Vec<_> = single.into_iter().chain(grouped).collect();
    intend(snapshot, intents, effects);
    if !chunks.is_empty() {
        effects.push(Effect::DropChunks(chunks));
    }
}

impl Snapshot {
    /// The run has ended: nobody waits for its child runs any more.
    pub(in crate::run) fn give_up_all_children(&mut self) {
        let groups = std::mem::take(&mut self.child_groups).into_iter();
        let grouped = groups.flat_map(|(item, group)| {
            group.open.into_values().map(move |child| (item.clone(), child)).collect::<Vec<_>>()
        });
        let children = std::mem::take(&mut self.children).into_iter().chain(grouped);
        let intents = children.filter_map(|(item, child)| ChildIntent::to_give_up(&item, child, false));
        for intent in intents.collect::<Vec<_>>() {
            if !self.intents.contains(&intent) {
                self.intents.push(intent);
            }
        }
    }

    /// What is to be carried out for the intents of the record.
    pub fn intent_effects(&self) -> Vec<Effect> {
        let mut effects: Vec<_> = self.intents.iter().cloned().map(Effect::Child).collect();
        if !effects.is_empty() {
            effects.push(Effect::CloseIntents);
        }
        effects
    }

    /// The approximate size of the intents in the record, in bytes.
    pub(in crate::run) fn intent_bytes(&self) -> usize {
        self.intents.iter().map(ChildIntent::size).sum()
    }
}

/// Removes intents that are carried out from the record. `None` if it has none of them.
pub fn close_intents(mut snapshot: Snapshot, done: &[ChildIntent], commit: CommitId) -> Option<Snapshot> {
    let before = snapshot.intents.len();
    snapshot.intents.retain(|intent| !done.contains(intent));
    if snapshot.intents.len() == before {
        return None;
    }
    snapshot.commit = commit;
    Some(snapshot)
}
