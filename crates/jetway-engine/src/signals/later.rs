//! Signals that are put off, since their runs do not exist yet.
//!
//! Each comes again by itself, after ever longer pauses. Two moments do not wait for that: when a run that is young is about to wait for
//! signals, and when another signal of it is applied. Then all that are put off are applied, in the order in which they were sent.

use super::{Applier, FIRST_PAUSE, GRACE, apply::own_id, error::SignalError};
use crate::{
    backend::{BackendError, StoredSignal},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::{
    RunKey, Seen, Timestamp,
    run::{Snapshot, signal_id_hash},
};
use std::time::Duration;

/// For how long after the start of a run signals may be put off that were sent before: for the grace, and then until the sweep brings
/// them back.
const YOUNG: Duration = Duration::from_secs(180);

/// How many signals that are put off are applied at once. More are in no mailbox.
const MOST: usize = 1000;

/// Whether signals may be put off that were sent before the run was there.
pub(super) fn is_young(snapshot: &Snapshot, now: Timestamp) -> bool {
    now.since(snapshot.started_at) < YOUNG
}

impl Applier {
    /// Stores a signal in another place until its run may be there.
    pub(super) async fn put_off(&self, signal: &StoredSignal) -> Result<(), BackendError> {
        let now = self.clock.now();
        let pause = now.since(signal.sent_at).max(FIRST_PAUSE);
        let due = now.after(pause).min(signal.sent_at.after(GRACE));
        let id = Some(signal.id.clone().unwrap_or_else(|| own_id(signal)));
        self.backend.put_off(&StoredSignal { id, ..signal.clone() }, due).await?;
        fail_point(FailPoint::SignalPutOff);
        // It may have been started meanwhile, and wait for signals since.
        match self.snapshots.load(&signal.run, Seen::default()).await? {
            Some(_) => self.apply_put_off(&signal.run).await,
            None => Ok(()),
        }
    }

    /// A run is about to wait for signals: applies those that are put off.
    pub(crate) async fn before_wait(&self, run: &RunKey, snapshot: &Snapshot) -> Result<(), BackendError> {
        match is_young(snapshot, self.clock.now()) {
            true => self.apply_put_off(run).await,
            false => Ok(()),
        }
    }

    async fn apply_put_off(&self, run: &RunKey) -> Result<(), BackendError> {
        let put_off = self.backend.put_off_signals(run, MOST).await?;
        let Some(first) = put_off.into_iter().min_by_key(|signal| (signal.sent_at, signal.sequence)) else {
            return Ok(());
        };
        match self.apply(&first).await {
            Ok(_) => Ok(()),
            Err(SignalError::Backend(error)) if error.is_retryable() => Err(error),
            Err(refused) => {
                tracing::debug!(%run, error = %refused, "a signal that was put off is left to its own message");
                Ok(())
            }
        }
    }

    /// The signals that are put off for a run and that it does not have. They are to be read before those that are stored: one that comes
    /// again meanwhile is then among these.
    pub(super) async fn put_off_for(
        &self,
        snapshot: &Snapshot,
        signal: &StoredSignal,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        if !is_young(snapshot, self.clock.now()) {
            return Ok(Vec::new());
        }
        let mut put_off = self.backend.put_off_signals(&signal.run, MOST).await?;
        let is_known = |id: &String| snapshot.mailbox.knows(signal_id_hash(id));
        put_off.retain(|other| other.store == signal.store && !other.id.as_ref().is_some_and(is_known));
        Ok(put_off)
    }

    /// Removes signals that were put off, and that the run has now. One that stays comes again, and is known by its id.
    pub(super) async fn remove_put_off(&self, taken: &[StoredSignal]) {
        for signal in taken {
            if let Err(error) = self.backend.remove_put_off(signal).await {
                tracing::debug!(run = %signal.run, %error, "cannot remove a signal that is applied: it comes again");
            }
        }
    }
}

/// The signals in the order in which they were sent: those at their first places are in the order of the store.
pub(super) fn in_order_of_sending(signals: Vec<StoredSignal>) -> Vec<StoredSignal> {
    let (mut put_off, first): (Vec<_>, Vec<_>) =
        signals.into_iter().partition(|signal| signal.place.is_put_off());
    put_off.sort_by_key(|signal| (signal.sent_at, signal.sequence));
    let (mut ordered, mut put_off) = (Vec::new(), put_off.into_iter().peekable());
    for signal in first {
        while let Some(earlier) = put_off.next_if(|other| other.sent_at <= signal.sent_at) {
            ordered.push(earlier);
        }
        ordered.push(signal);
    }
    ordered.extend(put_off);
    ordered
}
