//! The inputs of pending items: in the snapshot, or in chunks beside it.

use crate::{
    backend::{BackendError, BackendErrorKind},
    snapshots::Snapshots,
};
use bytes::Bytes;
use jetway_core::step::TaskInput;
use jetway_state::{
    ItemId, RunKey,
    run::{Arrival, Arrivals, ChunkEntry, ChunkRef, Input, Payload, Snapshot, TicketFor, TicketWanted},
};

/// A pending item with its input.
#[derive(Debug)]
pub(crate) struct ReadyItem {
    pub(crate) node: String,
    pub(crate) input: TaskInput,
    /// The spans of the steps that created it.
    pub(crate) from: Vec<u64>,
}

/// Loads the node and the input of an item. `None` if it is not pending, or waits for a slot at its node.
pub(crate) async fn load_item(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    id: &ItemId,
) -> Result<Option<ReadyItem>, BackendError> {
    if snapshot.waits_for_slot(id) {
        return Ok(None);
    }
    let Some(item) = snapshot.items.get(id) else {
        return load_branch(snapshots, run, snapshot, id).await;
    };
    let mut from: Vec<u64> = item.from_span.into_iter().collect();
    let input = match &item.input {
        Input::One(Payload::Inline(bytes)) => TaskInput::One(bytes.clone()),
        Input::One(Payload::Chunk(chunk)) => TaskInput::One(item_in(snapshots, run, snapshot, *chunk).await?),
        Input::Output(output) => TaskInput::Output(output.clone()),
        Input::Gathered(arrivals) => {
            let arrived = load_arrivals(snapshots, run, snapshot, arrivals).await?;
            from.extend(arrived.iter().filter_map(|arrival| arrival.span));
            TaskInput::Gathered(Arrival::in_order(arrived))
        }
    };
    from.sort_unstable();
    from.dedup();
    Ok(Some(ReadyItem { node: item.node.clone(), input, from }))
}

async fn load_branch(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    id: &ItemId,
) -> Result<Option<ReadyItem>, BackendError> {
    let Some((fan_out, position)) = id.as_branch() else {
        return Ok(None);
    };
    let Some(fan_out) = snapshot.fan_outs.get(&fan_out) else {
        return Ok(None);
    };
    if !fan_out.branches.is_open(position) {
        return Ok(None);
    }
    let from = fan_out.from_span.into_iter().collect();
    if let Some(branch) = fan_out.branches.inline.get(&position) {
        let input = TaskInput::One(branch.payload.clone());
        return Ok(Some(ReadyItem { node: branch.node.clone(), input, from }));
    }
    let missing = || missing(run, &format!("the input of item {id}"));
    let chunk = fan_out.branches.chunk_of(position).ok_or_else(missing)?;
    let entries = snapshots.chunk(run, snapshot.incarnation, chunk).await?;
    let (node, payload) = branch_at(&entries, position).ok_or_else(missing)?;
    Ok(Some(ReadyItem { node: node.to_owned(), input: TaskInput::One(payload.clone()), from }))
}

async fn item_in(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    chunk: ChunkRef,
) -> Result<Bytes, BackendError> {
    let entries = snapshots.chunk(run, snapshot.incarnation, chunk).await?;
    match entries.first() {
        Some(ChunkEntry::Item(bytes)) => Ok(bytes.clone()),
        _ => Err(missing(run, "the input of an item")),
    }
}

/// The values that arrived at a gathering node, or the results of child runs, in any order.
pub(crate) async fn load_arrivals(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    arrivals: &Arrivals,
) -> Result<Vec<Arrival>, BackendError> {
    let mut all = arrivals.inline.clone();
    for chunk in &arrivals.chunks {
        all.extend(snapshots.chunk(run, snapshot.incarnation, *chunk).await?.iter().filter_map(|entry| {
            match entry {
                ChunkEntry::Arrival(arrival) => Some(arrival.clone()),
                ChunkEntry::Branch { .. } | ChunkEntry::Item(_) => None,
            }
        }));
    }
    if all.len() != arrivals.count as usize {
        return Err(missing(run, &format!("{} of {} gathered values", all.len(), arrivals.count)));
    }
    Ok(all)
}

/// Finds the nodes of wanted tickets. The node of a branch whose input is in a chunk is in that chunk too.
pub(crate) async fn resolve_nodes(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    wanted: Vec<TicketWanted>,
) -> Result<Vec<TicketFor>, BackendError> {
    let mut tickets = Vec::with_capacity(wanted.len());
    for want in wanted {
        let node = match &want.node {
            Some(node) => Some(node.clone()),
            None => node_in_chunk(snapshots, run, snapshot, &want.item).await?,
        };
        // A branch that is in no chunk means a corrupt record. The attempt at the branch reports it.
        tickets.extend(node.map(|node| want.for_node(node)));
    }
    Ok(tickets)
}

async fn node_in_chunk(
    snapshots: &Snapshots,
    run: &RunKey,
    snapshot: &Snapshot,
    item: &ItemId,
) -> Result<Option<String>, BackendError> {
    let Some((fan_out, position)) = item.as_branch() else {
        return Ok(None);
    };
    let fan_out = snapshot.fan_outs.get(&fan_out);
    let Some(chunk) = fan_out.and_then(|fan_out| fan_out.branches.chunk_of(position)) else {
        return Ok(None);
    };
    let entries = snapshots.chunk(run, snapshot.incarnation, chunk).await?;
    Ok(branch_at(&entries, position).map(|(node, _)| node.to_owned()))
}

/// The node and the payload of a branch. The branches in a chunk are in the order of their positions.
fn branch_at(entries: &[ChunkEntry], position: u32) -> Option<(&str, &Bytes)> {
    let position_of = |entry: &ChunkEntry| match entry {
        ChunkEntry::Branch { position, .. } => *position,
        ChunkEntry::Arrival(_) | ChunkEntry::Item(_) => u32::MAX,
    };
    let index = entries.binary_search_by_key(&position, position_of).ok()?;
    match &entries[index] {
        ChunkEntry::Branch { node, payload, .. } => Some((node, payload)),
        ChunkEntry::Arrival(_) | ChunkEntry::Item(_) => None,
    }
}

fn missing(run: &RunKey, what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("run {run}: {what} is missing from its chunk"))
}
