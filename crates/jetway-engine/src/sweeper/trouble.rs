//! What goes wrong in a sweep, and when it has to end.
//!
//! An error of one run says little about the others. Only a backend that does not answer ends a sweep: each further run
//! would wait for its time limit.

use crate::backend::{BackendError, BackendErrorKind};

/// A sweep ends when the backend has not answered for this many runs in a row. One run alone may cause such an error, for
/// example if others write it all the time.
const UNANSWERED_IN_A_ROW: u32 = 3;

/// What went wrong in a sweep so far.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    tickets_full: bool,
    results_full: bool,
    unanswered: u32,
    closed: bool,
}

impl Trouble {
    /// Takes note of the outcome of one check. `ended`: the run has ended, so that results were written and no tickets.
    pub(super) fn note(&mut self, error: Option<&BackendError>, ended: bool) {
        match error.map(BackendError::kind) {
            Some(BackendErrorKind::Unavailable) => self.unanswered += 1,
            Some(BackendErrorKind::Closed) => self.closed = true,
            Some(BackendErrorKind::NoRoom) if ended => self.results_full = true,
            Some(BackendErrorKind::NoRoom) => self.tickets_full = true,
            _ => self.unanswered = 0,
        }
    }

    /// Whether a check of such a run would find no room for what is missing.
    pub(super) fn has_no_room(&self, ended: bool) -> bool {
        if ended { self.results_full } else { self.tickets_full }
    }

    /// Whether the backend does not answer.
    pub(super) fn is_unreachable(&self) -> bool {
        self.closed || self.unanswered >= UNANSWERED_IN_A_ROW
    }
}

/// Whether an error that concerns more than one run ends a sweep.
pub(super) fn ends_the_sweep(kind: BackendErrorKind) -> bool {
    matches!(kind, BackendErrorKind::Unavailable | BackendErrorKind::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kinds: &[Option<BackendErrorKind>]) -> Trouble {
        let mut trouble = Trouble::default();
        for kind in kinds {
            let error = kind.map(|kind| BackendError::new(kind, "it failed"));
            trouble.note(error.as_ref(), false);
        }
        trouble
    }

    #[test]
    fn h7_only_an_unreachable_backend_ends_a_sweep() {
        use BackendErrorKind::{
            Closed, Conflict, Corrupt, Misconfigured, Newer, NoRoom, Refused, TooLarge, Unavailable,
        };
        for kind in [Conflict, Corrupt, Misconfigured, Newer, NoRoom, Refused, TooLarge] {
            assert!(!after(&[Some(kind); 100]).is_unreachable(), "{kind:?}");
            assert!(!ends_the_sweep(kind), "{kind:?}");
        }
        assert!(after(&[Some(Closed)]).is_unreachable());
        let unavailable = Some(Unavailable);
        assert!(after(&[unavailable; 3]).is_unreachable());
        assert!(
            !after(&[unavailable, unavailable, None, unavailable, Some(Refused), unavailable])
                .is_unreachable()
        );
    }

    #[test]
    fn a_full_stream_of_tickets_delays_no_result() {
        let full = after(&[Some(BackendErrorKind::NoRoom)]);
        assert!(full.has_no_room(false) && !full.has_no_room(true));
    }
}
