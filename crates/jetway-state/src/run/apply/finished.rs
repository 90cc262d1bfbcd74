//! Removing the finished item from the record.

use crate::{
    ItemId, Timestamp,
    run::{
        attempt::{AttemptReport, EncodedOutcome},
        children::give_up_children,
        effect::Effect,
        fan_out::Branch,
        signal::{end_wait, wake},
        snapshot::{Input, Payload, Snapshot},
    },
};

/// The item that an attempt finished.
pub(super) struct FinishedItem {
    pub(super) id: ItemId,
    /// Whether what the item leads to belongs to the clean-up of its run.
    pub(super) is_clean_up: bool,
    pub(super) node: String,
    /// The branch that its successors continue.
    pub(super) branch: Option<Branch>,
    pub(super) ticket_item: ItemId,
    pub(super) span: Option<u64>,
    pub(super) timestamp: Timestamp,
}

impl FinishedItem {
    /// Removes the item from the pending ones; `None` if it is not pending.
    pub(super) fn take(
        snapshot: &mut Snapshot,
        attempt: &AttemptReport,
        effects: &mut Vec<Effect>,
    ) -> Option<Self> {
        crate::hop!("FinishedItem::take");
        let is_taken_back = matches!(attempt.produced, EncodedOutcome::CleanUp(_));
        let is_clean_up = is_taken_back || snapshot.is_clean_up(&attempt.item);
        let succeeded = attempt.produced.is_success();
        give_up_children(snapshot, &attempt.item, succeeded, attempt.timestamp, effects);
        snapshot.attempts.remove(&attempt.item);
        effects.extend(wake(end_wait(snapshot, &attempt.item, attempt.timestamp)));
        snapshot.failures.remove(&attempt.item);
        snapshot.unreadable.remove(&attempt.item);
        snapshot.unmark_clean_up(&attempt.item);
        let branch = match snapshot.items.remove(&attempt.item) {
            Some(item) => {
                drop_chunks_of(item.input, effects);
                item.branch
            }
            None => Some(take_branch(snapshot, &attempt.item)?),
        };
        Some(Self {
            id: attempt.item.clone(),
            is_clean_up,
            node: attempt.node.clone(),
            branch,
            ticket_item: attempt.ticket_item.clone(),
            span: attempt.span.map(|span| span.id),
            timestamp: attempt.timestamp,
        })
    }
}

fn take_branch(snapshot: &mut Snapshot, id: &ItemId) -> Option<Branch> {
    let (fan_out, position) = id.as_branch()?;
    let branches = &mut snapshot.fan_outs.get_mut(&fan_out)?.branches;
    if !branches.is_open(position) {
        return None;
    }
    branches.take(position);
    Some(Branch { fan_out, position })
}

fn drop_chunks_of(input: Input, effects: &mut Vec<Effect>) {
    let chunks = match input {
        Input::One(Payload::Inline(_)) | Input::Output(_) => return,
        Input::One(Payload::Chunk(chunk)) => vec![chunk],
        Input::Gathered(arrivals) => arrivals.chunks,
    };
    if !chunks.is_empty() {
        effects.push(Effect::DropChunks(chunks));
    }
}
