//! Reporting the signals that no step of a run has taken when it ended.

use super::Dispatcher;
use crate::backend::{BackendError, DeadLetter, NewSignal};
use jetway_state::{
    Incarnation,
    run::{Letter, Snapshot},
};

/// The media type of what a mailbox holds.
const CBOR: &str = "application/cbor";

impl Dispatcher {
    /// Moves the signals that no step of an ended run has taken to the dead letters. Doing it twice has the effect of once.
    pub(super) async fn report_untaken(&self, snapshot: &Snapshot) -> Result<(), BackendError> {
        let (run, incarnation) = (snapshot.key(), snapshot.incarnation);
        for letter in &snapshot.mailbox.letters {
            let Letter { name, payload, .. } = letter;
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
                id: id_of(incarnation, letter),
                ..self.backend.letter_of(&signal)
            };
            self.backend.dead_letter(letter).await?;
        }
        Ok(())
    }
}

/// The id of a dead letter. A store that is made anew counts from 1 again.
fn id_of(incarnation: Incarnation, Letter { store, sequence, .. }: &Letter) -> String {
    format!("untaken-{incarnation}-{:x}-{sequence}", store.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{StoreId, Timestamp};

    #[test]
    fn f12_signals_of_two_stores_are_two_dead_letters() {
        let letter = |store, sequence| {
            let (name, payload, store) = ("paid".to_owned(), Default::default(), StoreId(store));
            Letter { name, payload, at: Timestamp(1), sequence, store, put_off: false }
        };
        let run = Incarnation::from_random(7);
        assert_eq!(id_of(run, &letter(1, 5)), id_of(run, &letter(1, 5)));
        assert_ne!(id_of(run, &letter(1, 5)), id_of(run, &letter(2, 5)));
        assert_ne!(id_of(run, &letter(1, 0x11)), id_of(run, &letter(0x11, 1)));
    }
}
