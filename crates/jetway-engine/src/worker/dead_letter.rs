//! Tickets that no attempt can process.

use super::{TicketOutcome, Worker, session::TicketSession};
use crate::backend::{BackendError, BackendErrorKind, DeadLetter, Delivery};

/// How often a ticket is delivered that another build may be able to process, before it becomes a dead letter.
const DELIVERIES_FOR_OTHER_BUILDS: u32 = 8;

impl TicketSession<'_> {
    /// Whether no attempt of this host can process the ticket.
    pub(super) fn is_unprocessable(&self, error: &BackendError) -> bool {
        let own_build = self.delivery.fingerprint == self.workflow.fingerprint();
        is_unprocessable(error.kind(), self.delivery.delivered, own_build)
    }
}

impl Worker {
    /// Moves the ticket to the dead letters.
    pub(super) async fn dead_letter(
        &self,
        delivery: &Delivery,
        error: &BackendError,
        steps: u64,
    ) -> TicketOutcome {
        let ticket = &delivery.ticket;
        tracing::error!(run = %ticket.run(), node = %ticket.node, item = %ticket.item, "cannot process ticket: moving it to the dead letters, with the reason");
        // It may quote a value.
        tracing::debug!(%error, "cannot process ticket");
        let letter = DeadLetter {
            workflow: ticket.workflow.to_string(),
            why: "cannot-run".to_owned(),
            reason: error.to_string(),
            headers: vec![
                ("Jetway-Run-Id".to_owned(), ticket.run_id.to_string()),
                ("Jetway-Incarnation".to_owned(), ticket.incarnation.to_string()),
                ("Jetway-Node".to_owned(), ticket.node.clone()),
                ("Jetway-Item-Id".to_owned(), ticket.item.to_string()),
            ],
            id: format!("{}/{}/{}/{}", ticket.run(), ticket.incarnation, ticket.item, ticket.revision),
            ..DeadLetter::default()
        };
        let moved = async {
            self.backend.dead_letter(letter).await?;
            delivery.lease.ack().await
        };
        match moved.await {
            Ok(()) => TicketOutcome::Acked { steps },
            Err(error) => TicketOutcome::Abandoned { steps, error },
        }
    }
}

/// Whether no attempt of this host can process a ticket that failed with an error of this kind. A ticket of another build is
/// left to its lease for some deliveries, since a host of that build may be starting. Later hosts find the item by their
/// sweep.
fn is_unprocessable(kind: BackendErrorKind, delivered: u32, own_build: bool) -> bool {
    match kind {
        BackendErrorKind::Corrupt if own_build => true,
        BackendErrorKind::Corrupt | BackendErrorKind::Newer => delivered >= DELIVERIES_FOR_OTHER_BUILDS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_of_other_builds_are_left_to_their_hosts_for_a_while() {
        for (kind, delivered, own_build, unprocessable) in [
            (BackendErrorKind::Corrupt, 1, true, true),
            (BackendErrorKind::Corrupt, 1, false, false),
            (BackendErrorKind::Corrupt, DELIVERIES_FOR_OTHER_BUILDS, false, true),
            (BackendErrorKind::Newer, DELIVERIES_FOR_OTHER_BUILDS - 1, true, false),
            (BackendErrorKind::Newer, DELIVERIES_FOR_OTHER_BUILDS, false, true),
            (BackendErrorKind::Unavailable, u32::MAX, true, false),
            (BackendErrorKind::NoRoom, u32::MAX, false, false),
        ] {
            let found = is_unprocessable(kind, delivered, own_build);
            assert_eq!(found, unprocessable, "{kind:?} {delivered} {own_build}");
        }
    }
}
