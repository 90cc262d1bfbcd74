//! Signals: named messages to runs.
//!
//! A message is a hint: whoever gets it applies all stored signals of the run, in their order, in one commit. Whoever applies a signal
//! also settles it, if the run does not take it: it becomes a dead letter.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | taking the message | nothing changed | redelivery of the message |
//! | the commit | the signals are applied; their items have no tickets; refused signals of others are no dead letters | redelivery: the record says that they are applied, missing tickets are published, and each refused signal is held by its own message; the sweep |
//! | the tickets | complete, and not acked | redelivery: nothing is left to do |
//! | the dead letter of a refused signal | not acked | redelivery: it is stored again under one id |
//! | giving back a signal that this build cannot apply | nothing changed | redelivery, a few times; then it is a dead letter |
//! | putting off a signal to an unknown run | the signal is stored twice | redelivery: it has one id in both places, and the run takes it once |
//! | the commit that applies signals which are put off | they come again | the record knows their ids |
//! | the ack | complete | - |
//!
//! A request stores its signal, applies it and answers. The stored message is delivered as well, finds that it is applied, and is
//! acked; if the host crashes before it answers, the message does the rest.

mod apply;
mod error;
mod later;

pub use error::SignalError;

use crate::{
    api::{ApiError, SignalAnswer},
    backend::{Backend, BackendError, DeadLetter, Lease, NewSignal, SignalDelivery, StoredSignal},
    dispatch::Dispatcher,
    fail_point::{FailPoint, fail_point},
    registry::Registry,
    snapshots::{CachedSnapshot, RunVersion, Snapshots},
    tickets::Tickets,
    wait_for_build::delay_before_next,
};
use apply::{Commit, Outcome, own_id, too_large};
use bytes::Bytes;
use error::is_about_message;
use jetway_core::{
    clock::Clock,
    step::{AnyWorkflow, swap_until},
};
use jetway_state::{
    RunKey, Seen, SignalName, StoreId,
    codec::Encoding,
    run::{ArrivedSignal, MAX_LETTER_BYTES, Snapshot, Verdict, deliver, signal_id_hash},
};
use std::{sync::Arc, time::Duration};

/// How long a signal waits for its run to be started.
const GRACE: Duration = Duration::from_secs(60);

/// The first pause of a signal that waits for its run. Each is as long as all before it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The outcome of a signal that was sent as a message.
#[derive(Debug)]
pub enum SignalOutcome {
    /// The run has it.
    Applied(RunKey, Verdict),
    /// The run does not exist yet, or this build cannot read its record: the signal is delivered again later.
    PutOff(RunKey),
    /// The run does not take it; the message is a dead letter.
    Refused(SignalError),
    /// The backend does not answer or is full: the message is delivered again when its lease expires.
    Abandoned(BackendError),
}

/// Applies signals.
pub(crate) struct Applier {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Applier {
    /// Handles one signal that was sent as a message, then acks it.
    pub(crate) async fn process_signal(&self, delivery: SignalDelivery) -> SignalOutcome {
        jetway_state::hop!("Applier::process_signal");
        let SignalDelivery { signal, lease, original, delivered, .. } = delivery;
        fail_point(FailPoint::SignalTaken);
        let settled = match self.apply(&signal).await {
            Ok(verdict) => Ok(SignalOutcome::Applied(signal.run, verdict)),
            Err(SignalError::UnknownRun(run)) if self.clock.now().since(signal.sent_at) < GRACE => {
                self.put_off(&signal).await.map(|()| SignalOutcome::PutOff(run))
            }
            Err(SignalError::Backend(error)) if !is_about_message(error.kind()) => Err(error),
            Err(refused) => match delay_before_next(delivered, refused.deliveries(), lease.duration()) {
                Some(delay) => return give_back(signal.run, &*lease, delay, &refused).await,
                None => self.refuse(&signal, original, refused).await,
            },
        };
        let outcome = match settled {
            Ok(outcome) => outcome,
            Err(error) => return SignalOutcome::Abandoned(error),
        };
        fail_point(FailPoint::SignalUnsettled);
        match lease.ack().await {
            Ok(()) => {
                fail_point(FailPoint::SignalSettled);
                outcome
            }
            Err(error) => SignalOutcome::Abandoned(error),
        }
    }

    /// Moves a refused signal to the dead letters.
    async fn refuse(
        &self,
        signal: &StoredSignal,
        original: DeadLetter,
        refused: SignalError,
    ) -> Result<SignalOutcome, BackendError> {
        tracing::warn!(run = %signal.run, signal = signal.name, why = refused.why(), "signal refused: moving its message to the dead letters");
        // It may quote the payload.
        tracing::debug!(error = %refused, "signal refused");
        self.backend.dead_letter(refusal(signal, original, &refused)).await?;
        Ok(SignalOutcome::Refused(refused))
    }

    /// Stores a signal, applies it, and says what has become of it. What can be refused at once is not stored.
    pub(crate) async fn request(&self, signal: NewSignal) -> Result<SignalAnswer, ApiError> {
        let answer = |verdict| {
            let (run_id, name) = (signal.run.run_id.clone(), signal.name.clone());
            SignalAnswer { run_id, name, applied: true, started: false, verdict }
        };
        if self.foresee(&signal).await? == Verdict::Duplicate {
            return Ok(answer(Verdict::Duplicate));
        }
        let stored = self.backend.publish_signal(&signal).await?;
        Ok(answer(self.apply(&stored).await?))
    }

    /// The payload of a signal as the record of its run has it.
    pub(crate) fn payload_of(&self, signal: &NewSignal) -> Result<Bytes, SignalError> {
        let workflow = self.workflow(&signal.run)?;
        SignalName::new(&signal.name)?;
        check(&**workflow, &signal.stored(StoreId::default(), 0, self.clock.now()))
    }

    /// What would become of a signal now.
    async fn foresee(&self, signal: &NewSignal) -> Result<Verdict, SignalError> {
        let NewSignal { run, name, incarnation, .. } = signal;
        let workflow = self.workflow(run)?;
        SignalName::new(name)?;
        let cached = self.snapshots.load(run, Seen::default()).await?;
        let cached = cached.ok_or_else(|| SignalError::UnknownRun(run.clone()))?;
        let (store, sent_at) = (cached.snapshot.mailbox.store, self.clock.now());
        let stored = signal.stored(store, u64::MAX, sent_at);
        let payload = Ok(check(&**workflow, &stored)?);
        let arrived = ArrivedSignal {
            sequence: stored.sequence,
            place: stored.place,
            name: name.clone(),
            id: stored.id.as_deref().map(signal_id_hash),
            incarnation: *incarnation,
            at: sent_at,
            payload,
        };
        let (snapshot, commit) = (Snapshot::clone(&cached.snapshot), cached.snapshot.commit);
        let verdicts = deliver(snapshot, store, &[arrived], commit, sent_at).verdicts;
        accepted(&**workflow, &stored, verdicts.first().copied().unwrap_or(Verdict::Kept), &cached.snapshot)
    }

    fn workflow(&self, run: &RunKey) -> Result<&Arc<dyn AnyWorkflow>, SignalError> {
        let name = run.workflow.as_str();
        self.registry.get(name).ok_or_else(|| SignalError::UnknownWorkflow {
            name: name.to_owned(),
            known: self.registry.names(),
        })
    }

    /// Applies a stored signal, all that are stored before it, and all that are put off, and carries out the effects.
    async fn apply(&self, signal: &StoredSignal) -> Result<Verdict, SignalError> {
        let workflow = self.workflow(&signal.run)?;
        SignalName::new(&signal.name)?;
        loop {
            let commit = Commit { applier: self, workflow: &**workflow, signal };
            let Some(outcome) = swap_until(commit).await? else {
                // Not later, when the sender has forgotten it.
                check(&**workflow, signal)?;
                return Err(SignalError::UnknownRun(signal.run.clone()));
            };
            let Outcome { verdict, cached, effects, refused, were_put_off } = outcome;
            for (other, verdict) in refused {
                self.refuse_other(&**workflow, &other, verdict, &cached.snapshot).await?;
            }
            let version = RunVersion { run: &signal.run, build: cached.build, cached: &cached };
            match effects {
                Some(effects) => self.dispatcher.carry_out(version, Vec::new(), effects).await?,
                None => self.wake_again(&signal.run, &cached).await?,
            }
            self.remove_put_off(&were_put_off).await;
            if let Some(verdict) = verdict {
                return accepted(&**workflow, signal, verdict, &cached.snapshot);
            }
        }
    }

    /// The signal was applied before: whoever has done that may have crashed before it published the tickets of its items.
    async fn wake_again(&self, run: &RunKey, cached: &CachedSnapshot) -> Result<(), BackendError> {
        let snapshot = &cached.snapshot;
        if !snapshot.status.is_active() || !snapshot.has_waited(snapshot.updated_at) {
            return Ok(());
        }
        let Some((cached, missing)) = self.tickets.missing(run, cached.clone(), self.tickets.now()).await?
        else {
            return Ok(());
        };
        let version = RunVersion { run, build: cached.build, cached: &cached };
        for ticket in missing {
            self.tickets.publish_woken(version, ticket, cached.seen()).await?;
        }
        Ok(())
    }

    /// Moves a signal to the dead letters that was applied together with another one.
    async fn refuse_other(
        &self,
        workflow: &dyn AnyWorkflow,
        signal: &StoredSignal,
        verdict: Verdict,
        snapshot: &Snapshot,
    ) -> Result<(), BackendError> {
        let Err(refused) = accepted(workflow, signal, verdict, snapshot) else { return Ok(()) };
        let original = self.backend.letter_of(&signal.to_new());
        self.backend.dead_letter(refusal(signal, original, &refused)).await
    }
}

/// Gives a signal back, so that a host of another build may apply it.
async fn give_back(run: RunKey, lease: &dyn Lease, delay: Duration, refused: &SignalError) -> SignalOutcome {
    tracing::debug!(%run, error = %refused, "cannot apply signal: giving it back for a while");
    match lease.nak_later(delay).await {
        Ok(()) => SignalOutcome::PutOff(run),
        Err(error) => SignalOutcome::Abandoned(error),
    }
}

/// Checks the name and the payload of a signal. Returns the payload as the record has it.
fn check(workflow: &dyn AnyWorkflow, signal: &StoredSignal) -> Result<Bytes, SignalError> {
    let name = signal.name.as_str();
    let known = workflow.signals().iter().find(|known| known.name() == name);
    let known = known.ok_or_else(|| unknown_signal(workflow, name))?;
    let encoding = encoding_of(signal.content_type.as_deref());
    let payload = known.read(&signal.payload, encoding).map_err(SignalError::BadPayload)?;
    match name.len() + payload.len() {
        bytes if bytes > MAX_LETTER_BYTES => Err(SignalError::BadPayload(too_large(name, bytes))),
        _ => Ok(payload),
    }
}

fn unknown_signal(workflow: &dyn AnyWorkflow, name: &str) -> SignalError {
    let names: std::collections::BTreeSet<_> = workflow.signals().iter().map(|known| known.name()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let known = match names.as_slice() {
        [] => "it takes no signals".to_owned(),
        names => format!("it takes {}", names.join(", ")),
    };
    SignalError::UnknownSignal { workflow: workflow.name().to_string(), name: name.to_owned(), known }
}

/// The verdict, or the error if the run does not have the signal.
fn accepted(
    workflow: &dyn AnyWorkflow,
    signal: &StoredSignal,
    verdict: Verdict,
    snapshot: &Snapshot,
) -> Result<Verdict, SignalError> {
    let run = || signal.run.clone();
    match verdict {
        Verdict::Taken | Verdict::Kept | Verdict::Duplicate => Ok(verdict),
        Verdict::MailboxFull => Err(SignalError::MailboxFull(run())),
        Verdict::RunEnded => Err(SignalError::RunEnded { run: run(), status: snapshot.status }),
        Verdict::OtherIncarnation => {
            Err(SignalError::OtherIncarnation { run: run(), found: snapshot.incarnation })
        }
        Verdict::UnknownSignal => Err(unknown_signal(workflow, &signal.name)),
        Verdict::BadPayload => match check(workflow, signal) {
            Err(error) => Err(error),
            Ok(_) => {
                let reason = "another build of the workflow could not read it";
                let what = format!("payload of signal {:?}", signal.name);
                Err(SignalError::BadPayload(jetway_state::Error::decode(what, reason)))
            }
        },
    }
}

/// The dead letter of a refused signal: whoever finds that it is refused makes the same. A signal that was put off may be stored twice,
/// with one id.
fn refusal(signal: &StoredSignal, original: DeadLetter, refused: &SignalError) -> DeadLetter {
    let id = signal_id_hash(&signal.id.clone().unwrap_or_else(|| own_id(signal)));
    DeadLetter {
        why: refused.why().to_owned(),
        reason: refused.to_string(),
        id: format!("signal-{}-{}-{id:x}", signal.run, signal.name),
        ..original
    }
}

/// The encoding of a payload, by its media type.
fn encoding_of(content_type: Option<&str>) -> Encoding {
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    match media_type.trim().eq_ignore_ascii_case("application/cbor") {
        true => Encoding::Cbor,
        false => Encoding::Json,
    }
}
