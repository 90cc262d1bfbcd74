//! Tickets that should not be: published once more while the first lives, or long after it was settled.

use crate::{Error, runs::Runs};
use jetway::{
    Fingerprint,
    run::{Snapshot, pending_tickets},
};
use jetway_engine::backend::{BackendError, SnapshotStore as _, Ticket, TicketQueue as _};
use jetway_nats::NatsBackend;
use jetway_state::codec;
use rand::{Rng, RngExt, seq::IndexedRandom};

/// How many tickets are kept to come late.
const KEPT: usize = 200;

/// Tickets of items that were pending once.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    tickets: Vec<(Ticket, Fingerprint)>,
}

impl Captured {
    /// Publishes the tickets of all pending items of some run again, and a few that were captured before. Returns how
    /// many.
    pub(crate) async fn publish_again(
        &mut self,
        rng: &mut impl Rng,
        backend: &NatsBackend,
        runs: &Runs,
    ) -> Result<u64, Error> {
        let doubled = async {
            if let Some(run) = runs.any_in_flight(rng)
                && let Some(stored) = backend.load(&run).await?
                && let Ok((snapshot, build)) = codec::open::<Snapshot>(&stored.bytes, "a snapshot")
            {
                self.capture(rng, &snapshot, build, stored.revision);
            }
            let late: Vec<_> = self.tickets.sample(rng, 20).cloned().collect();
            let count = late.len() as u64;
            backend.publish(late).await?;
            Ok::<u64, BackendError>(count)
        };
        match doubled.await {
            Ok(count) => Ok(count),
            Err(error) if error.is_retryable() => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn capture(&mut self, rng: &mut impl Rng, snapshot: &Snapshot, build: Fingerprint, revision: u64) {
        let key = snapshot.key();
        // Of a branch whose payload is beside the snapshot, the snapshot alone does not tell the node.
        let named =
            pending_tickets(snapshot).into_iter().filter_map(|wanted| Some((wanted.item, wanted.node?)));
        for (item, node) in named {
            let ticket = Ticket {
                workflow: key.workflow.clone(),
                run_id: key.run_id.clone(),
                node,
                item,
                revision,
                attempt: 1,
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
