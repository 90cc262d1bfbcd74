//! The effects of a commit, carried out before it.

use jetway_engine::backend::{Backend, BackendError, BackendErrorKind, RunResult, SnapshotWrite, Ticket};
use jetway_state::{
    Seen, codec,
    run::{ChunkRef, Input, Payload, Snapshot, pending_tickets},
    view::DoneView,
};

/// Publishes the tickets and the result of the snapshot in `write`, and removes the chunks that it does not need.
pub(super) async fn publish_early(backend: &dyn Backend, write: &SnapshotWrite) -> Result<(), BackendError> {
    let corrupt = |error| {
        BackendError::new(BackendErrorKind::Corrupt, "the snapshot of a commit cannot be read")
            .caused_by(error)
    };
    let (snapshot, build) = codec::open::<Snapshot>(&write.bytes, "a snapshot").map_err(corrupt)?;
    let tickets = pending_tickets(&snapshot, snapshot.updated_at).into_iter().filter_map(|wanted| {
        let ticket = Ticket {
            workflow: write.run.workflow.clone(),
            run_id: write.run.run_id.clone(),
            incarnation: write.incarnation,
            node: wanted.node?,
            item: wanted.item,
            revision: write.expected,
            store: backend.store_id(),
            woken_by: None,
            attempt: 1,
            given_back: 0,
            at: jetway_core::clock::now(),
            trace: snapshot.trace.headers(),
        };
        Some((ticket, build))
    });
    backend.publish(tickets.collect()).await?;
    if snapshot.status.is_terminal() {
        let unfit = "a result cannot be written";
        let result = DoneView::new(&snapshot)
            .map_err(|error| BackendError::new(BackendErrorKind::Corrupt, unfit).caused_by(error))?;
        let result = serde_json::to_vec(&result)
            .map_err(|error| BackendError::new(BackendErrorKind::Corrupt, unfit).caused_by(error))?;
        let (run, incarnation, revision) = (write.run.clone(), write.incarnation, write.expected + 1);
        backend.publish_done(RunResult { run, incarnation, revision, json: result.into() }).await?;
    }
    let needed = chunks(&snapshot);
    if let Some(stored) = backend.load(&write.run, Seen::default()).await? {
        let (before, _) = codec::open::<Snapshot>(&stored.bytes, "a snapshot").map_err(corrupt)?;
        let unneeded: Vec<ChunkRef> =
            chunks(&before).into_iter().filter(|chunk| !needed.contains(chunk)).collect();
        backend.drop_chunks(&write.run, write.incarnation, &unneeded).await?;
    }
    Ok(())
}

/// The chunks that a snapshot refers to.
fn chunks(snapshot: &Snapshot) -> Vec<ChunkRef> {
    let of_items = snapshot.items.values().flat_map(|item| match &item.input {
        Input::One(Payload::Inline(_)) => Vec::new(),
        Input::One(Payload::Chunk(chunk)) => vec![*chunk],
        Input::Gathered(arrivals) => arrivals.chunks.clone(),
        Input::Output(_) => Vec::new(),
    });
    let of_fan_outs = snapshot.fan_outs.values().flat_map(|fan_out| {
        let branches = fan_out.branches.chunks.iter().map(|branches| branches.chunk);
        let arrivals = fan_out.arrivals.values().flat_map(|arrivals| arrivals.chunks.iter().copied());
        branches.chain(arrivals)
    });
    of_items.chain(of_fan_outs).collect()
}
