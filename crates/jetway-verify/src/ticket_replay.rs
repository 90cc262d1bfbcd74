//! Duplicated tickets: published again while the first one is still there, or long after it was acked.

use crate::{Error, runs::Runs};
use jetway_engine::backend::{BackendError, SnapshotStore as _, Ticket, TicketQueue as _};
use jetway_nats::NatsBackend;
use jetway_state::{
    Fingerprint, Seen,
    run::{Snapshot, pending_tickets},
};
use rand::{Rng, RngExt, seq::IndexedRandom};

/// How many tickets are kept for later.
const KEPT: usize = 200;

/// How many of them are published at a time.
const AT_ONCE: usize = 20;

/// Tickets of items that were pending at some time.
#[derive(Debug, Default)]
pub(crate) struct TicketReplay {
    tickets: Vec<(Ticket, Fingerprint)>,
}

impl TicketReplay {
    /// Records the tickets of all pending items of some run, then publishes some recorded tickets. Returns how many.
    pub(crate) async fn publish(
        &mut self,
        rng: &mut impl Rng,
        backend: &NatsBackend,
        runs: &Runs,
    ) -> Result<u64, Error> {
        let published = async {
            if let Some(run) = runs.any_in_flight(rng)
                && let Some(stored) = backend.load(&run, Seen::default()).await?
                && let Ok((snapshot, build)) = Snapshot::open(&stored.bytes)
            {
                self.record(rng, &snapshot, build, stored.revision);
            }
            let tickets: Vec<_> = self.tickets.sample(rng, AT_ONCE).cloned().collect();
            let count = tickets.len() as u64;
            backend.publish(tickets).await?;
            Ok::<u64, BackendError>(count)
        };
        match published.await {
            Ok(count) => Ok(count),
            // Another fault may have stopped the server.
            Err(error) if error.is_retryable() => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn record(&mut self, rng: &mut impl Rng, snapshot: &Snapshot, build: Fingerprint, revision: u64) {
        let key = snapshot.key();
        // The snapshot does not name the node of a branch whose payload is in a chunk.
        let with_node =
            // Also of items that are not due: such a ticket must start nothing.
            pending_tickets(snapshot, jetway_state::Timestamp(u64::MAX)).into_iter().filter_map(|wanted| Some((wanted.item, wanted.node?)));
        for (item, node) in with_node {
            let ticket = Ticket {
                workflow: key.workflow.clone(),
                run_id: key.run_id.clone(),
                incarnation: snapshot.incarnation,
                node,
                item,
                revision,
                store: jetway_state::StoreId::default(),
                woken_by: None,
                attempt: 1,
                given_back: 0,
                at: jetway_core::clock::now(),
                trace: snapshot.trace.headers(),
            };
            if self.tickets.len() == KEPT {
                self.tickets.swap_remove(rng.random_range(0..KEPT));
            }
            self.tickets.push((ticket, build));
        }
    }
}
