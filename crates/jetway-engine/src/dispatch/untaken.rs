//! Reporting the signals that no step of a run has taken when it ended.

use super::Dispatcher;
use crate::backend::{BackendError, DeadLetter, NewSignal};
use jetway_state::run::{Letter, Snapshot};

/// The media type of what a mailbox holds.
const CBOR: &str = "application/cbor";

impl Dispatcher {
    /// Moves the signals that no step of an ended run has taken to the dead letters. Doing it twice has the effect of once.
    pub(super) async fn report_untaken(&self, snapshot: &Snapshot) -> Result<(), BackendError> {
        let (run, incarnation) = (snapshot.key(), snapshot.incarnation);
        for Letter { name, payload, sequence, .. } in &snapshot.mailbox.letters {
            let signal = NewSignal {
                run: run.clone(),
                name: name.clone(),
                id: None,
                incarnation: Some(incarnation),
                content_type: Some(CBOR.to_owned()),
                payload: payload.clone(),
            };
            let letter = DeadLetter {
                why: "never_taken".to_owned(),
                reason: format!(
                    "run {run} ended, {}, and no step had taken the signal {name:?}",
                    snapshot.status
                ),
                id: format!("untaken-{incarnation}-{sequence}"),
                ..self.backend.letter_of(&signal)
            };
            self.backend.dead_letter(letter).await?;
        }
        Ok(())
    }
}
