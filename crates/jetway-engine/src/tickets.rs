//! Publishing tickets, and finding the items that have none.

use crate::{
    backend::{Backend, BackendError, Ticket, TicketIndex},
    children::still_waits,
    fail_point::{FailPoint, fail_point, one_by_one},
    inputs::resolve_nodes,
    snapshots::{CachedSnapshot, RunVersion, Snapshots},
};
use jetway_core::clock::Clock;
use jetway_state::{
    Fingerprint, ItemId, RunKey, Seen, Timestamp,
    run::{Parent, Snapshot, TicketFor, TicketWanted, pending_ticket, pending_tickets},
};
use std::sync::Arc;

/// The attempt number of a ticket that is published again: a worker may be running the item without a ticket.
pub(crate) const SECOND_ATTEMPT: u32 = 2;

/// Publishes tickets, and finds the items that have none.
pub(crate) struct Tickets {
    backend: Arc<dyn Backend>,
    snapshots: Arc<Snapshots>,
    clock: Arc<dyn Clock>,
}

impl Tickets {
    pub(crate) fn new(backend: Arc<dyn Backend>, snapshots: Arc<Snapshots>, clock: Arc<dyn Clock>) -> Self {
        Self { backend, snapshots, clock }
    }

    /// The latest record of a run.
    pub(crate) async fn latest(
        &self,
        RunVersion { run, cached, .. }: RunVersion<'_>,
    ) -> Result<Option<CachedSnapshot>, BackendError> {
        self.snapshots.load(run, cached.seen()).await
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Publishes tickets whose first delivery is attempt number `attempt`. Tests can stop the host at `point` after each.
    pub(crate) async fn publish(
        &self,
        point: FailPoint,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
        attempt: u32,
    ) -> Result<(), BackendError> {
        for tickets in one_by_one(point, tickets) {
            self.publish_batch(version, tickets, attempt).await?;
            fail_point(point);
        }
        Ok(())
    }

    /// Publishes tickets in one call, see [`publish`](Self::publish).
    pub(crate) async fn publish_batch(
        &self,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
        attempt: u32,
    ) -> Result<(), BackendError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let tickets =
            tickets.into_iter().map(|ticket| (self.ticket(version, ticket, attempt), version.build));
        self.send(tickets.collect()).await
    }

    pub(crate) async fn send(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        jetway_state::hop!("Tickets::send");
        self.backend.publish(tickets).await
    }

    pub(crate) fn ticket(
        &self,
        RunVersion { run, cached, .. }: RunVersion<'_>,
        TicketFor { item, node }: TicketFor,
        attempt: u32,
    ) -> Ticket {
        Ticket {
            workflow: run.workflow.clone(),
            run_id: run.run_id.clone(),
            incarnation: cached.snapshot.incarnation,
            node,
            item,
            revision: cached.revision,
            store: cached.store,
            woken_by: None,
            attempt,
            given_back: 0,
            at: self.clock.now(),
            trace: cached.snapshot.trace.headers(),
        }
    }

    /// Publishes tickets for all pending items of a run.
    pub(crate) async fn publish_pending(&self, version: RunVersion<'_>) -> Result<(), BackendError> {
        let wanted = pending_tickets(&version.cached.snapshot, self.clock.now());
        let tickets = self.resolve(version, wanted).await?;
        self.publish_batch(version, tickets, 1).await
    }

    /// Publishes a ticket for an item that waited for a child, which has ended. It is the one that the end of the child
    /// publishes, or has published.
    pub(crate) async fn publish_woken(
        &self,
        version: RunVersion<'_>,
        ticket: TicketFor,
        woken_by: Seen,
    ) -> Result<(), BackendError> {
        let ticket = Ticket { woken_by: Some(woken_by), ..self.ticket(version, ticket, 1) };
        self.send(vec![(ticket, version.build)]).await
    }

    /// Publishes a ticket for the item that waits for the run of this snapshot.
    pub(crate) async fn wake_parent(
        &self,
        cached: &CachedSnapshot,
        parent: Parent,
    ) -> Result<(), BackendError> {
        let Parent { run, incarnation, item, node, build, seen, span: _ } = parent;
        let ticket = Ticket {
            workflow: run.workflow,
            run_id: run.run_id,
            incarnation,
            node,
            item,
            revision: seen.revision,
            store: seen.store,
            woken_by: Some(cached.seen()),
            attempt: 1,
            given_back: 0,
            at: self.clock.now(),
            trace: cached.snapshot.trace.headers(),
        };
        self.send(vec![(ticket, build)]).await
    }

    /// Finds the nodes of wanted tickets.
    pub(crate) async fn resolve(
        &self,
        version: RunVersion<'_>,
        wanted: Vec<TicketWanted>,
    ) -> Result<Vec<TicketFor>, BackendError> {
        resolve_nodes(&self.snapshots, version.run, &version.cached.snapshot, wanted).await
    }

    /// The pending items that have no ticket and were not committed under a ticket that still exists. An item that waits
    /// for a child run needs none, nor does one that is due only after `now`. `acked` is a ticket that exists and is about to be
    /// acked: it does not count.
    pub(crate) async fn items_without_ticket(
        &self,
        run: &RunKey,
        snapshot: &Snapshot,
        acked: Option<&ItemId>,
        now: Timestamp,
    ) -> Result<Vec<TicketWanted>, BackendError> {
        let existing = self.backend.items_with_tickets(run, Some(snapshot.incarnation)).await?;
        let exists = |item: &ItemId| existing.contains(item) && acked != Some(item);
        let mut missing = Vec::new();
        for ticket in pending_tickets(snapshot, now) {
            if exists(&ticket.item) || exists(&ticket.ticket_item) {
                continue;
            }
            if !still_waits(&self.snapshots, snapshot, &ticket.item, now).await? {
                missing.push(ticket);
            }
        }
        Ok(missing)
    }

    /// Whether every pending item has a ticket, or was committed under one, according to an index that was read before the
    /// snapshot. If not, the index may be too old.
    pub(crate) fn are_in(index: &TicketIndex, run: &RunKey, snapshot: &Snapshot, now: Timestamp) -> bool {
        let exists = |item: &ItemId| index.has(&run.run_id, snapshot.incarnation, item);
        pending_tickets(snapshot, now)
            .iter()
            .all(|ticket| exists(&ticket.item) || exists(&ticket.ticket_item))
    }

    /// The tickets that a run lacks at `now`, and the snapshot that says so. `None` if the run ended or was deleted.
    ///
    /// Reads the run twice: between reading the run and reading its tickets an item may be committed and its ticket acked.
    /// An item that is still pending then had no ticket.
    pub(crate) async fn missing(
        &self,
        run: &RunKey,
        cached: CachedSnapshot,
        now: Timestamp,
    ) -> Result<Option<(CachedSnapshot, Vec<TicketFor>)>, BackendError> {
        let missing = self.items_without_ticket(run, &cached.snapshot, None, now).await?;
        if missing.is_empty() {
            return Ok(Some((cached, Vec::new())));
        }
        let latest = self.snapshots.load(run, cached.seen()).await?;
        let incarnation = cached.snapshot.incarnation;
        let is_live = |latest: &CachedSnapshot| {
            latest.snapshot.incarnation == incarnation && !latest.snapshot.status.is_terminal()
        };
        let Some(cached) = latest.filter(is_live) else {
            return Ok(None);
        };
        let is_pending =
            |seen: &TicketWanted| pending_ticket(&cached.snapshot, &seen.item, now).as_ref() == Some(seen);
        let missing = missing.into_iter().filter(is_pending).collect();
        let tickets = resolve_nodes(&self.snapshots, run, &cached.snapshot, missing).await?;
        Ok(Some((cached, tickets)))
    }
}
