//! Working on one ticket.

use crate::{lease_keeper::HeldLease, slots::InFlight, supervisor::panic_message};
use futures::FutureExt;
use jetway_engine::{Engine, TicketOutcome, backend::Delivery};
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What came of a ticket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TicketEnded {
    /// What became of the ticket.
    pub(crate) fate: Fate,
    /// Steps that were committed under it.
    pub(crate) steps: u64,
}

/// What became of a ticket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is settled.
    Done,
    /// It was given back.
    GivenBack,
    /// The backend is out of reach: it is left to its lease.
    Abandoned,
    /// The engine panicked, which is a defect of it: what a node panics with never comes here.
    Panicked,
}

/// Works on a ticket to its end, while its lease is kept alive.
///
/// The lease is let go in every case but one: where this future is dropped before its end, the lease is given back at
/// once. After a panic of the engine it is not, because the next worker may panic over it as well: the time of the
/// lease is the pause between two tries.
pub(crate) async fn work(
    engine: Arc<Engine>,
    delivery: Delivery,
    cancel: CancellationToken,
    held: HeldLease,
    in_flight: InFlight,
) -> TicketEnded {
    let (run, item) = (delivery.ticket.run(), delivery.ticket.item.clone());
    // The engine is shared by all tickets and has to be consistent at every await, panic or not.
    let worked = AssertUnwindSafe(engine.work(delivery, cancel)).catch_unwind().await;
    held.release();
    drop(in_flight);
    let (fate, steps) = match worked {
        Ok(TicketOutcome::Acked { steps }) => (Fate::Done, steps),
        Ok(TicketOutcome::Nacked { steps }) => (Fate::GivenBack, steps),
        Ok(TicketOutcome::Abandoned { steps, error }) => {
            tracing::warn!(%run, %item, %error, "a ticket is left to its lease");
            (Fate::Abandoned, steps)
        }
        Err(payload) => {
            let message = panic_message(payload.as_ref());
            tracing::error!(%run, %item, message, "the engine panicked: the ticket is left to its lease");
            (Fate::Panicked, 0)
        }
    };
    TicketEnded { fate, steps }
}
