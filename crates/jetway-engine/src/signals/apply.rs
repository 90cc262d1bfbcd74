//! Applying the stored signals of a run, in one commit.

use super::{
    Applier,
    error::SignalError,
    later::{in_order_of_sending, is_young},
};
use crate::{
    backend::{BackendError, BackendErrorKind, StoredSignal},
    fail_point::{FailPoint, fail_point},
    snapshots::CachedSnapshot,
};
use jetway_core::step::{AnyWorkflow, Swap, Swapped};
use jetway_state::{
    Timestamp,
    run::{
        Applied, ArrivedSignal, Delivered, Effect, GIVEN_SIGNAL_ID, MAX_LETTER_BYTES, Mailbox, SignalPlace,
        Snapshot, Verdict, deliver, signal_id_hash,
    },
};

/// How many signals one commit applies at most.
const MOST: usize = 256;

/// What a commit of signals has led to.
pub(super) struct Outcome {
    /// What became of the signal; `None` if there were too many before it.
    pub(super) verdict: Option<Verdict>,
    pub(super) cached: CachedSnapshot,
    /// The effects of the commit; `None` if nothing was written.
    pub(super) effects: Option<Vec<Effect>>,
    /// The other signals that are applied with it and not in the run.
    pub(super) refused: Vec<(StoredSignal, Verdict)>,
    /// Those that were put off until then.
    pub(super) were_put_off: Vec<StoredSignal>,
}

impl Outcome {
    fn unwritten(verdict: Option<Verdict>, cached: CachedSnapshot) -> Self {
        Self { verdict, cached, effects: None, refused: Vec::new(), were_put_off: Vec::new() }
    }
}

/// The commit of one signal, of all that are stored before it, and of all that are put off, until it succeeds.
pub(super) struct Commit<'a> {
    pub(super) applier: &'a Applier,
    pub(super) workflow: &'a dyn AnyWorkflow,
    pub(super) signal: &'a StoredSignal,
}

impl Commit<'_> {
    /// The signals to apply, in their order: those that are stored and not applied, those that are put off, and the one in hand.
    async fn batch(&self, snapshot: &Snapshot, most: usize) -> Result<Vec<StoredSignal>, BackendError> {
        let Self { applier, signal, .. } = self;
        let after = snapshot.mailbox.applied_of(signal.store);
        let mut put_off = applier.put_off_for(snapshot, signal).await?;
        let mut batch = applier.backend.stored_signals(&signal.run, after, most).await?;
        batch.retain(|stored| stored.store == signal.store && stored.sequence > after);
        let is_complete =
            batch.len() < most || batch.last().is_some_and(|last| last.sequence > signal.sequence);
        let place = batch.partition_point(|stored| stored.sequence < signal.sequence);
        let is_there = batch.get(place).is_some_and(|stored| stored.sequence == signal.sequence);
        match signal.place {
            SignalPlace::Later if put_off.iter().all(|other| other.sequence != signal.sequence) => {
                put_off.push((*signal).clone());
            }
            SignalPlace::Later => {}
            SignalPlace::First | SignalPlace::Again if is_there || !is_complete => {}
            SignalPlace::First | SignalPlace::Again => batch.insert(place, (*signal).clone()),
        }
        batch.extend(put_off);
        Ok(in_order_of_sending(batch))
    }

    fn arrived(&self, stored: &StoredSignal, snapshot: &Snapshot, now: Timestamp) -> ArrivedSignal {
        // It may have been put off before the run was there, and then be delivered again from its first place.
        let own = || is_young(snapshot, now).then(|| own_id(stored));
        ArrivedSignal {
            sequence: stored.sequence,
            place: stored.place,
            name: stored.name.clone(),
            id: stored.id.clone().or_else(own).map(|id| signal_id_hash(&id)),
            incarnation: stored.incarnation,
            at: stored.sent_at,
            payload: super::check(self.workflow, stored).map_err(|error| verdict_of(&error)),
        }
    }

    /// The signals of the store up to the first that changes the record; the one in hand if there is none.
    fn least(&self, batch: &[StoredSignal], snapshot: &Snapshot) -> Vec<StoredSignal> {
        let is_counted = |stored: &&StoredSignal| stored.place != SignalPlace::Later;
        let mut counted: Vec<_> = batch.iter().filter(is_counted).cloned().collect();
        counted.sort_by_key(|stored| stored.sequence);
        let now = self.applier.clock.now();
        let changes = |stored: &StoredSignal| {
            let arrived = [self.arrived(stored, snapshot, now)];
            deliver(snapshot.clone(), self.signal.store, &arrived, snapshot.commit, now).applied.is_some()
        };
        let Some(first) = counted.iter().position(changes) else { return vec![self.signal.clone()] };
        counted.truncate(first + 1);
        counted
    }

    /// Applies the next signals to a record. A record that becomes too large gets the first of the store alone; if even that has no room,
    /// its mailbox counts as full.
    async fn write_what_fits(&self, cached: &CachedSnapshot, most: usize) -> Result<Outcome, BackendError> {
        let batch = self.batch(&cached.snapshot, most).await?;
        let mut written = self.write_once(cached, batch.clone(), false).await;
        for no_room in [false, true] {
            match written {
                Err(error) if error.kind() == BackendErrorKind::TooLarge => {
                    let least = self.least(&batch, &cached.snapshot);
                    written = Box::pin(self.write_once(cached, least, no_room)).await;
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
            let full = |_payload| Err(Verdict::MailboxFull);
            arrived.iter_mut().for_each(|signal| signal.payload = signal.payload.clone().and_then(full));
        }
        let snapshot = Snapshot::clone(&cached.snapshot);
        let Delivered { applied, verdicts } = deliver(snapshot, self.signal.store, &arrived, commit, now);
        let is_own = |stored: &StoredSignal| {
            (stored.place == SignalPlace::Later, stored.sequence)
                == (self.signal.place == SignalPlace::Later, self.signal.sequence)
        };
        let own = batch.iter().position(is_own);
        let verdict = own.and_then(|own| verdicts.get(own).copied());
        let Some(Applied { snapshot, effects, .. }) = applied else {
            // Nothing is written, so whoever holds the others finds the same.
            return Ok(Outcome::unwritten(verdict, cached.clone()));
        };
        let revision = snapshots.write(cached.build, &snapshot, Vec::new(), cached.seen()).await?;
        fail_point(FailPoint::SignalsApplied);
        let cached = snapshots.found(snapshot, revision, cached.build);
        snapshots.slot(&self.signal.run).keep(&cached);
        let (put_off, counted): (Vec<_>, Vec<_>) =
            batch.into_iter().zip(verdicts).partition(|(stored, _)| stored.place == SignalPlace::Later);
        // Each that is refused and put off still has a message of its own.
        let taken = put_off.into_iter().filter(|(_, verdict)| verdict.is_accepted());
        let were_put_off = taken.map(|(stored, _)| stored).collect();
        let refused =
            counted.into_iter().filter(|(stored, verdict)| !verdict.is_accepted() && !is_own(stored));
        Ok(Outcome { verdict, cached, effects: Some(effects), refused: refused.collect(), were_put_off })
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
        if let Some(verdict) = verdict_before(&cached.snapshot.mailbox, self.signal) {
            return Ok(Swapped::Done(Some(Outcome::unwritten(Some(verdict), cached))));
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

/// What became of a signal that was applied before.
fn verdict_before(mailbox: &Mailbox, signal: &StoredSignal) -> Option<Verdict> {
    let is_known = || signal.id.as_ref().is_some_and(|id| mailbox.knows(signal_id_hash(id)));
    match signal.place {
        SignalPlace::Later => is_known().then_some(Verdict::Duplicate),
        SignalPlace::First | SignalPlace::Again => {
            let was_applied = mailbox.has_applied(signal.store, signal.sequence);
            was_applied.then(|| mailbox.verdict_on(signal.sequence))
        }
    }
}

/// The id of a signal whose sender has given it none.
pub(super) fn own_id(signal: &StoredSignal) -> String {
    format!("{GIVEN_SIGNAL_ID}{:x}-{}", signal.store.0, signal.sequence)
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
