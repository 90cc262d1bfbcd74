//! Carrying out what a commit asks for. Every effect can be carried out more than once.

use super::{Control, Engine, inputs::seed_at, run_cache::CachedSnapshot};
use crate::{
    backend::{BackendError, BackendErrorKind, Ticket},
    fail_point::{FailPoint, fail_point, one_by_one},
};
use jetway_state::{
    Fingerprint, ItemId, RunKey, STORE_ELSEWHERE,
    run::{DoneView, Effect, ErrorView, Snapshot, TicketFor, TicketWanted, end_effects},
};

impl Engine {
    pub(super) async fn carry_out(
        &self,
        build: Fingerprint,
        run: &RunKey,
        cached: &CachedSnapshot,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
    ) -> Result<(), BackendError> {
        if !tickets.is_empty() {
            self.publish_tickets(FailPoint::TicketPublished, build, run, cached, tickets, 1).await?;
            fail_point(FailPoint::TicketsPublished);
        }
        for effect in effects {
            match effect {
                Effect::PublishResult => self.publish_result(run, &cached.snapshot).await?,
                Effect::DropChunks(chunks) => {
                    self.backend.drop_chunks(run, &chunks).await?;
                    fail_point(FailPoint::ChunksDropped);
                }
                Effect::WakeParent(parent) => self.wake(cached, parent).await?,
                // Boxed, since the child may have children.
                Effect::CancelChild(child) => {
                    Box::pin(self.control(&child, Control::Cancel)).await?;
                    fail_point(FailPoint::ChildCancelled);
                }
                Effect::PreventChild(child) => {
                    Box::pin(self.prevent(build, run, cached, &child)).await?;
                    fail_point(FailPoint::ChildCancelled);
                }
                Effect::DropAllChunks => {
                    self.backend.drop_all_chunks(run).await?;
                    fail_point(FailPoint::ChunksDropped);
                }
            }
        }
        Ok(())
    }

    /// Carries out what the end of a run asks for, again: whoever ended it may have been lost in the middle of that.
    pub(super) async fn reapply_end_effects(
        &self,
        build: Fingerprint,
        run: &RunKey,
        cached: &CachedSnapshot,
    ) -> Result<(), BackendError> {
        self.carry_out(build, run, cached, Vec::new(), end_effects(&cached.snapshot)).await
    }

    /// Publishes tickets; a host may be lost behind each of them.
    pub(super) async fn publish_tickets(
        &self,
        point: FailPoint,
        build: Fingerprint,
        run: &RunKey,
        cached: &CachedSnapshot,
        tickets: Vec<TicketFor>,
        attempt: u32,
    ) -> Result<(), BackendError> {
        for tickets in one_by_one(point, tickets) {
            self.publish(build, run, cached, tickets, attempt).await?;
            fail_point(point);
        }
        Ok(())
    }

    /// Publishes tickets whose first delivery is attempt number `attempt`.
    pub(super) async fn publish(
        &self,
        build: Fingerprint,
        run: &RunKey,
        cached: &CachedSnapshot,
        tickets: Vec<TicketFor>,
        attempt: u32,
    ) -> Result<(), BackendError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let (trace, at) = (cached.snapshot.trace.headers(), self.clock.now());
        let tickets = tickets.into_iter().map(|TicketFor { item, node }| {
            let ticket = Ticket {
                workflow: run.workflow.clone(),
                run_id: run.run_id.clone(),
                node,
                item,
                revision: cached.revision,
                attempt,
                at,
                trace: trace.clone(),
            };
            (ticket, build)
        });
        self.backend.publish(tickets.collect()).await
    }

    /// Publishes the result of a run that has ended, and forgets the run.
    pub(super) async fn publish_result(&self, run: &RunKey, snapshot: &Snapshot) -> Result<(), BackendError> {
        let result = result_of(snapshot, self.config.limits.snapshot).map_err(|error| {
            BackendError::new(BackendErrorKind::Corrupt, format!("the result of run {run} cannot be written"))
                .caused_by(error)
        })?;
        self.backend.publish_done(run, result.into()).await?;
        fail_point(FailPoint::ResultPublished);
        self.cache.forget(run);
        Ok(())
    }

    /// Finds the nodes of wanted tickets: those of branches whose payloads are in chunks are named there.
    pub(super) async fn resolve_nodes(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        wanted: Vec<TicketWanted>,
    ) -> Result<Vec<TicketFor>, BackendError> {
        let mut tickets = Vec::with_capacity(wanted.len());
        for want in wanted {
            let node = match &want.node {
                Some(node) => Some(node.clone()),
                None => self.node_in_chunk(run, snapshot, &want.item).await?,
            };
            // A branch that no chunk names is a broken record, which the attempt at it reports.
            tickets.extend(node.map(|node| want.for_node(node)));
        }
        Ok(tickets)
    }

    async fn node_in_chunk(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        item: &ItemId,
    ) -> Result<Option<String>, BackendError> {
        let Some((fan_out, position)) = item.as_branch() else {
            return Ok(None);
        };
        let Some(chunk) =
            snapshot.fan_outs.get(&fan_out).and_then(|fan_out| fan_out.branches.chunk_of(position))
        else {
            return Ok(None);
        };
        let entries = self.chunk(run, chunk).await?;
        Ok(seed_at(&entries, position).map(|(node, _)| node.to_owned()))
    }
}

/// The result as published. One that is too large to be sent is sent without what makes it so, and says it.
fn result_of(snapshot: &Snapshot, most: usize) -> Result<Vec<u8>, serde_json::Error> {
    let mut view = DoneView::from(snapshot);
    let whole = serde_json::to_vec(&view)?;
    if whole.len() <= most {
        return Ok(whole);
    }
    view.outputs.clear();
    let once = serde_json::to_vec(&view)?;
    if once.len() <= most {
        return Ok(once);
    }
    view.output = None;
    view.error = Some(ErrorView {
        node: None,
        item_id: None,
        attempt: 1,
        kind: "limit".to_owned(),
        message: format!(
            "the output is {} bytes of JSON and a message may be {most}, so that it is not sent: {STORE_ELSEWHERE}",
            once.len()
        ),
    });
    serde_json::to_vec(&view)
}
