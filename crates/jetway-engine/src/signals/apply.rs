//! Applying the stored signals of a run, in one commit.

use super::{Applier, error::SignalError};
use crate::{
    backend::{BackendError, BackendErrorKind, StoredSignal},
    fail_point::{FailPoint, fail_point},
    snapshots::CachedSnapshot,
};
use jetway_core::step::{AnyWorkflow, Swap, Swapped};
use jetway_state::{
    Timestamp,
    run::{
        Applied, ArrivedSignal, Delivered, Effect, MAX_LETTER_BYTES, Snapshot, Verdict, deliver,
        signal_id_hash,
    },
};
use std::time::Duration;

/// How many signals one commit applies at most.
const MOST: usize = 256;

/// For how long after the start of a run each signal is known by an id, also if its sender has given it none: it may have been put off
/// before the run was there, and then be delivered again from its first place.
const YOUNG: Duration = Duration::from_secs(180);

/// What a commit of signals has led to.
pub(super) struct Outcome {
    /// What became of the signal; `None` if there were too many before it.
    pub(super) verdict: Option<Verdict>,
    pub(super) cached: CachedSnapshot,
    /// The effects of the commit; `None` if nothing was written.
    pub(super) effects: Option<Vec<Effect>>,
    /// The other signals that are applied with it and not in the run.
    pub(super) refused: Vec<(StoredSignal, Verdict)>,
}

/// The commit of one signal, and of all that are stored before it, until it succeeds.
pub(super) struct Commit<'a> {
    pub(super) applier: &'a Applier,
    pub(super) workflow: &'a dyn AnyWorkflow,
    pub(super) signal: &'a StoredSignal,
}

impl Commit<'_> {
    /// The signals to apply, in their order: those that are stored and not applied, and the one in hand.
    async fn batch(&self, snapshot: &Snapshot, most: usize) -> Result<Vec<StoredSignal>, BackendError> {
        let Self { applier, signal, .. } = self;
        let after = snapshot.mailbox.applied_of(signal.store);
        let mut batch = applier.backend.stored_signals(&signal.run, after, most).await?;
        batch.retain(|stored| stored.store == signal.store && stored.sequence > after);
        let is_complete =
            batch.len() < most || batch.last().is_some_and(|last| last.sequence > signal.sequence);
        let place = batch.partition_point(|stored| stored.sequence < signal.sequence);
        let is_there = batch.get(place).is_some_and(|stored| stored.sequence == signal.sequence);
        if !is_there && is_complete {
            batch.insert(place, (*signal).clone());
        }
        Ok(batch)
    }

    fn arrived(&self, stored: &StoredSignal, snapshot: &Snapshot, now: Timestamp) -> ArrivedSignal {
        let is_young = now.since(snapshot.started_at) < YOUNG;
        let own = || is_young.then(|| own_id(stored));
        ArrivedSignal {
            sequence: stored.sequence,
            name: stored.name.clone(),
            id: stored.id.clone().or_else(own).map(|id| signal_id_hash(&id)),
            incarnation: stored.incarnation,
            at: stored.sent_at,
            payload: super::check(self.workflow, stored).map_err(|error| verdict_of(&error)),
        }
    }

    /// Applies the next signals to a record. A record that becomes too large gets the first of them alone; if even that has no room,
    /// its mailbox counts as full.
    async fn write_what_fits(&self, cached: &CachedSnapshot, most: usize) -> Result<Outcome, BackendError> {
        let batch = self.batch(&cached.snapshot, most).await?;
        let first: Vec<_> = batch.first().cloned().into_iter().collect();
        let mut written = self.write_once(cached, batch, false).await;
        for no_room in [false, true] {
            match written {
                Err(error) if error.kind() == BackendErrorKind::TooLarge => {
                    written = Box::pin(self.write_once(cached, first.clone(), no_room)).await;
                }
                written => return written,
            }
        }
        written
    }

    /// Applies the signals to a record and writes the result once.
    async fn write_once(
        &self,
        cached: &CachedSnapshot,
        batch: Vec<StoredSignal>,
        no_room: bool,
    ) -> Result<Outcome, BackendError> {
        let Applier { snapshots, clock, .. } = self.applier;
        let (now, commit) = (clock.now(), snapshots.next_commit());
        let mut arrived: Vec<_> =
            batch.iter().map(|stored| self.arrived(stored, &cached.snapshot, now)).collect();
        if no_room {
            arrived.iter_mut().for_each(|signal| signal.payload = Err(Verdict::MailboxFull));
        }
        let snapshot = Snapshot::clone(&cached.snapshot);
        let Delivered { applied, verdicts } = deliver(snapshot, self.signal.store, &arrived, commit, now);
        let own = batch.iter().position(|stored| stored.sequence == self.signal.sequence);
        let verdict = own.and_then(|own| verdicts.get(own).copied());
        let Some(Applied { snapshot, effects, .. }) = applied else {
            // Nothing is written, so whoever holds the others finds the same.
            let (cached, refused) = (cached.clone(), Vec::new());
            return Ok(Outcome { verdict, cached, effects: None, refused });
        };
        let revision = snapshots.write(cached.build, &snapshot, Vec::new(), cached.seen()).await?;
        fail_point(FailPoint::SignalsApplied);
        let cached = snapshots.found(snapshot, revision, cached.build);
        snapshots.slot(&self.signal.run).keep(&cached);
        let others = batch
            .into_iter()
            .zip(verdicts)
            .filter(|(stored, verdict)| !verdict.is_accepted() && stored.sequence != self.signal.sequence);
        Ok(Outcome { verdict, cached, effects: Some(effects), refused: others.collect() })
    }
}

impl Swap for Commit<'_> {
    /// `None` if there is no such run.
    type State = Option<CachedSnapshot>;
    type Output = Option<Outcome>;
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        self.applier.snapshots.load(&self.signal.run, jetway_state::Seen::default()).await
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<Self::Output>, BackendError> {
        jetway_state::hop!("Commit::swap");
        let Some(cached) = state else { return Ok(Swapped::Done(None)) };
        let (mailbox, signal) = (&cached.snapshot.mailbox, self.signal);
        if mailbox.has_applied(signal.store, signal.sequence) {
            let verdict = Some(mailbox.verdict_on(signal.sequence));
            return Ok(Swapped::Done(Some(Outcome { verdict, cached, effects: None, refused: Vec::new() })));
        }
        let mut most = MOST;
        let written = loop {
            let written = self.write_what_fits(&cached, most).await;
            match written {
                // Nothing of so many is written: the signal in hand is behind them.
                Ok(Outcome { verdict: None, effects: None, .. }) => most = most.saturating_mul(4),
                written => break written,
            }
        };
        match written {
            Ok(outcome) => Ok(Swapped::Done(Some(outcome))),
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let run = &self.signal.run;
        let message = format!("cannot apply signals to run {run}: {conflicts} writes of others came first");
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}

/// The id of a signal whose sender has given it none.
pub(super) fn own_id(signal: &StoredSignal) -> String {
    format!("{:x}/{}", signal.store.0, signal.sequence)
}

/// The verdict on a signal that its workflow refuses.
pub(super) fn verdict_of(error: &SignalError) -> Verdict {
    match error {
        SignalError::BadPayload(_) => Verdict::BadPayload,
        _ => Verdict::UnknownSignal,
    }
}

/// The error of a payload that no mailbox can hold.
pub(super) fn too_large(name: &str, bytes: usize) -> jetway_state::Error {
    jetway_state::Error::Limit(format!(
        "the payload of signal {name:?} is {bytes} bytes; the limit is {MAX_LETTER_BYTES}: {}",
        jetway_state::STORE_ELSEWHERE
    ))
}
