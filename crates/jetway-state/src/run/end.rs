//! The end of a run, and the effects that it has.

use super::{
    effect::Effect,
    snapshot::{Snapshot, Status},
    wait::NEAR,
};
use crate::Timestamp;

/// Ends a run: drops its pending items. Returns the effects, which replace all earlier ones.
pub(super) fn end(snapshot: &mut Snapshot, status: Status, at: Timestamp) -> Vec<Effect> {
    crate::hop!("end");
    snapshot.status = status;
    snapshot.finished_at = Some(at);
    snapshot.items.clear();
    snapshot.fan_outs.clear();
    snapshot.give_up_all_children();
    snapshot.put_back_all_signals();
    snapshot.failures.clear();
    snapshot.attempts.clear();
    snapshot.unreadable.clear();
    snapshot.written_by.clear();
    if let Some(cancel) = &mut snapshot.cancel {
        cancel.clean_up.clear();
    }
    end_effects(snapshot)
}

/// The effects of the end of a run: what it means to do to its children, wake the parent, report the signals that no step has taken,
/// disarm the alarms of its clean-up and its deadline, publish the result, delete the chunks.
///
/// The result comes after the effects on other runs: a run whose result is stored has carried them out. Chunks that are left
/// over are collected.
pub fn end_effects(snapshot: &Snapshot) -> Vec<Effect> {
    let children = snapshot.intent_effects().into_iter();
    let parent = snapshot.parent.clone().map(Effect::WakeParent);
    // Whoever repeats these effects does not know what else the run has waited for.
    let ends = snapshot
        .cancel
        .as_ref()
        .and_then(|cancel| cancel.until)
        .max(snapshot.deadline)
        .zip(snapshot.finished_at);
    let alarm = ends.filter(|(until, at)| *until > at.after(NEAR)).map(|_far| Effect::DisarmAllAlarms);
    let untaken = (!snapshot.mailbox.letters.is_empty()).then_some(Effect::ReportUntaken);
    let chunks = snapshot.chunked.then_some(Effect::DropAllChunks);
    children.chain(parent).chain(untaken).chain(alarm).chain([Effect::PublishResult]).chain(chunks).collect()
}
