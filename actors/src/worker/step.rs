//! Work on one ticket.

use crate::{
    engine_call::{EnginePanicked, call_engine},
    lease_keeper::HeldLease,
    slots::InFlight,
};
use jetway_engine::{Engine, TicketOutcome, backend::Delivery};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The outcome of a ticket.
pub(crate) type TicketResult = Result<TicketOutcome, EnginePanicked>;

/// Lets the engine work on a ticket until it is done, while the lease keeper extends its lease.
pub(super) async fn work(
    engine: Arc<Engine>,
    delivery: Delivery,
    cancel: CancellationToken,
    held: HeldLease,
    in_flight: InFlight,
) -> TicketResult {
    let (run, item) = (delivery.ticket.run(), delivery.ticket.item.clone());
    let result = call_engine(engine.process_ticket(delivery, cancel), held, in_flight).await;
    match &result {
        Ok(TicketOutcome::Acked { .. } | TicketOutcome::Nacked { .. }) => {}
        Ok(TicketOutcome::Abandoned { error, .. }) => {
            tracing::warn!(%run, %item, %error, "ticket not finished: it is delivered again when its lease ends");
        }
        Err(EnginePanicked { message }) => {
            tracing::error!(%run, %item, error = message, "engine panicked: the ticket is delivered again when its lease ends");
        }
    }
    result
}
