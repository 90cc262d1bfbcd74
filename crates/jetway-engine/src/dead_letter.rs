//! Tickets that cannot be worked off.

use super::{Engine, TicketOutcome};
use crate::backend::{BackendError, BackendErrorKind, DeadLetter, Delivery};

/// How often a ticket of a run that another build wrote is delivered before it goes to the dead letters.
const LEFT_TO_OTHER_HOSTS: u32 = 8;

impl Engine {
    /// What cannot be run by any attempt goes to the dead letters, and its ticket with it.
    pub(super) async fn dead_letter(
        &self,
        delivery: &Delivery,
        error: &BackendError,
        steps: u64,
    ) -> TicketOutcome {
        let ticket = &delivery.ticket;
        tracing::error!(run = %ticket.run(), node = %ticket.node, item_id = %ticket.item, %error, "a ticket cannot be worked off");
        let letter = DeadLetter {
            workflow: ticket.workflow.to_string(),
            why: "cannot-run".to_owned(),
            reason: error.to_string(),
            headers: vec![
                ("Jetway-Run-Id".to_owned(), ticket.run_id.to_string()),
                ("Jetway-Node".to_owned(), ticket.node.clone()),
                ("Jetway-Item-Id".to_owned(), ticket.item.to_string()),
            ],
            id: format!("{}/{}/{}", ticket.run(), ticket.item, ticket.revision),
            ..DeadLetter::default()
        };
        let buried = async {
            self.backend.dead_letter(letter).await?;
            delivery.lease.ack().await
        };
        match buried.await {
            Ok(()) => TicketOutcome::Acked { steps },
            Err(error) => TicketOutcome::Abandoned { steps, error },
        }
    }
}

/// Whether no attempt of this host can work the ticket off. What another build wrote is left to the lease for a while, since
/// a host of that build may be on its way; one that comes later has its sweep publish the ticket again.
pub(super) fn is_unprocessable(kind: BackendErrorKind, delivered: u32, own: bool) -> bool {
    match kind {
        BackendErrorKind::Corrupt if own => true,
        BackendErrorKind::Corrupt | BackendErrorKind::Newer => delivered >= LEFT_TO_OTHER_HOSTS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_build_wrote_is_left_to_its_hosts_for_a_while() {
        for (kind, delivered, own, hopeless) in [
            (BackendErrorKind::Corrupt, 1, true, true),
            (BackendErrorKind::Corrupt, 1, false, false),
            (BackendErrorKind::Corrupt, LEFT_TO_OTHER_HOSTS, false, true),
            (BackendErrorKind::Newer, LEFT_TO_OTHER_HOSTS - 1, true, false),
            (BackendErrorKind::Newer, LEFT_TO_OTHER_HOSTS, false, true),
            (BackendErrorKind::Unavailable, u32::MAX, true, false),
            (BackendErrorKind::NoRoom, u32::MAX, false, false),
        ] {
            assert_eq!(is_unprocessable(kind, delivered, own), hopeless, "{kind:?} {delivered} {own}");
        }
    }
}
