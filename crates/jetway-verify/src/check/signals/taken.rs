//! Where each signal is in the end.

use super::letters::{Letters, NEVER_TAKEN, RUN_ENDED};
use crate::{
    check::{
        Kind::{self, Doubled, Lost, Wrong},
        Observed, Violation,
    },
    interpreter::{Answered, Entry},
    program::Token,
    runs::{Fate, Flaw, Sent},
};
use jetway::client::Status;
use jetway_state::{run::Snapshot, value};

/// Where the signals of a run are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) status: Status,
    pub(super) trail: Vec<Entry>,
    /// The waits that are over, in the order of their commits.
    pub(super) answers: Vec<Answered>,
    /// The names and numbers of the signals that are left over.
    pub(super) left: Vec<(String, u64)>,
    /// Whether the waits of all incarnations are known.
    pub(super) is_whole: bool,
}

impl Places {
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self, String> {
        let observed = Observed::of(snapshot)?;
        let left = snapshot.mailbox.letters.iter().map(|letter| {
            let token: Token =
                value::read(&letter.payload, &"a signal").map_err(|error| error.to_string())?;
            Ok((letter.name.clone(), token.number))
        });
        let left = left.collect::<Result<_, String>>()?;
        let is_whole = observed.is_whole();
        let Observed { status, ledger, .. } = observed;
        Ok(Self { status, trail: ledger.trail, answers: ledger.answers, left, is_whole })
    }

    /// The waits that have taken a signal, and the signals with that number.
    pub(super) fn takers(&self, number: u64) -> impl Iterator<Item = (&Answered, &str)> {
        self.answers.iter().flat_map(move |answer| {
            let signals = answer.signals.iter().flatten();
            signals.filter(move |(_, taken)| *taken == number).map(move |(name, _)| (answer, name.as_str()))
        })
    }

    fn left(&self, number: u64) -> u64 {
        self.left.iter().filter(|(_, left)| *left == number).count() as u64
    }
}

/// One signal, and what is known of it.
struct Signal<'a> {
    number: u64,
    calls: &'a [&'a Sent],
    places: &'a Places,
    /// Why it is a dead letter, once for each.
    reasons: &'a [String],
}

/// Checks one signal, which was sent by these calls.
pub(super) fn check_signal(
    number: u64,
    calls: &[&Sent],
    places: &Places,
    letters: &Letters,
) -> Vec<Violation> {
    let signal = Signal { number, calls, places, reasons: letters.of(number) };
    let Some(Sent { name, flaw, .. }) = calls.first() else { return Vec::new() };
    let found = match flaw {
        Some(flaw) => signal.check_flawed(*flaw),
        None => [signal.check_places(), signal.check_letters(), signal.check_answers()].concat(),
    };
    found
        .into_iter()
        .map(|(kind, what)| Violation::new(kind, format!("signal {number} ({name}) {what}")))
        .collect()
}

impl Signal<'_> {
    fn taken(&self) -> u64 {
        self.places.takers(self.number).count() as u64
    }

    fn left(&self) -> u64 {
        self.places.left(self.number)
    }

    fn is_somewhere(&self) -> bool {
        self.taken() + self.left() > 0
    }

    fn letters(&self, why: &str) -> u64 {
        self.reasons.iter().filter(|other| *other == why).count() as u64
    }

    fn was_told(&self, fate: &Fate) -> bool {
        self.calls.iter().any(|call| call.fate == *fate)
    }

    /// Checks that no run has taken a signal with a flaw, and that each of its messages is a dead letter for the right reason.
    fn check_flawed(&self, flaw: Flaw) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        if self.is_somewhere() {
            found.push((Wrong, "is one that no run may take, and was taken".to_owned()));
        }
        let reasons = self.reasons;
        let stored = self.calls.iter().filter(|call| call.fate == Fate::Stored).count();
        let is_right = |why: &String| why == RUN_ENDED || why == flaw.reason();
        if reasons.len() < stored || reasons.len() > self.calls.len() || !reasons.iter().all(is_right) {
            found.push((
                Wrong,
                format!("was refused {stored} times as a message, and is a dead letter for {reasons:?}"),
            ));
        }
        let is_wrong = |call: &&&Sent| match &call.fate {
            Fate::Accepted => true,
            Fate::Refused(why) => !is_right(why),
            Fate::Unknown | Fate::Stored => false,
        };
        if let Some(call) = self.calls.iter().find(is_wrong) {
            found.push((Wrong, format!("has a flaw, and its sender was told {:?}", call.fate)));
        }
        found
    }

    /// Checks that the signal is in one place, if the run has it.
    fn check_places(&self) -> Vec<(Kind, String)> {
        let (taken, left) = (self.taken(), self.left());
        if taken + left > 1 {
            let takers: Vec<&str> =
                self.places.takers(self.number).map(|(answer, _)| answer.step.as_str()).collect();
            return vec![(Doubled, format!("was taken by {takers:?}, and was left over {left} times"))];
        }
        let lost = match taken + left {
            0 if self.was_told(&Fate::Accepted) => "was accepted, and no step has taken it",
            0 if self.was_told(&Fate::Stored) && self.letters(RUN_ENDED) == 0 => {
                "was stored, no step has taken it, and it is no dead letter"
            }
            _ => return Vec::new(),
        };
        vec![(Lost, lost.to_owned())]
    }

    /// Checks that the signal is a dead letter if no step has taken it, and only then.
    fn check_letters(&self) -> Vec<(Kind, String)> {
        let (left, untaken, ended) = (self.left(), self.letters(NEVER_TAKEN), self.letters(RUN_ENDED));
        let has_ended = self.places.status.is_terminal();
        let mut found = Vec::new();
        if has_ended && untaken != left {
            let kind = if untaken < left { Lost } else { Doubled };
            found.push((kind, format!("was left over {left} times, and {untaken} dead letters say so")));
        }
        if ended > 0 && (self.is_somewhere() || !has_ended || ended > self.calls.len() as u64) {
            let (reasons, taken, status) = (self.reasons, self.taken(), self.places.status);
            let what = format!(
                "is a dead letter for {reasons:?}; {taken} steps have taken it, and the run is {status}"
            );
            found.push((Wrong, what));
        }
        let other = self.reasons.iter().find(|why| ![NEVER_TAKEN, RUN_ENDED].contains(&why.as_str()));
        found.extend(other.map(|why| (Wrong, format!("has no flaw, and is a dead letter for {why:?}"))));
        found
    }

    /// Checks that no sender was told that the signal is refused, unless the run has ended.
    fn check_answers(&self) -> Vec<(Kind, String)> {
        let refused =
            self.calls.iter().find(|call| matches!(&call.fate, Fate::Refused(why) if why != RUN_ENDED));
        let mut found: Vec<_> = refused
            .map(|call| (Wrong, format!("has no flaw, and its sender was told {:?}", call.fate)))
            .into_iter()
            .collect();
        if !self.places.status.is_terminal() && self.was_told(&Fate::Refused(RUN_ENDED.to_owned())) {
            let what = format!("was refused, since the run had ended, and the run is {}", self.places.status);
            found.push((Wrong, what));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        program::Listen,
        runs::{Moment, Way},
    };

    fn sent(way: Way, flaw: Option<Flaw>, fate: Fate) -> Sent {
        Sent {
            run: "w/r".to_owned(),
            number: 1,
            name: "red".to_owned(),
            way,
            flaw,
            moment: Moment::During,
            began: 0,
            answered: Some(1),
            fate,
        }
    }

    /// The violations of a signal that `takers` waits have taken, and `left` letters hold.
    fn kinds(calls: &[Sent], takers: usize, left: usize, letters: &[&str]) -> Vec<Kind> {
        let answer = |number: usize| Answered {
            step: format!("hear {number}"),
            listen: Listen { names: vec![0], all: false, deadline: None },
            signals: Some(vec![("red".to_owned(), 1)]),
        };
        let places = Places {
            status: Status::Completed,
            trail: Vec::new(),
            answers: (0..takers).map(answer).collect(),
            left: vec![("red".to_owned(), 1); left],
            is_whole: true,
        };
        let letters: Vec<_> = letters.iter().map(|why| (1, *why)).collect();
        let calls: Vec<&Sent> = calls.iter().collect();
        let found = check_signal(1, &calls, &places, &Letters::with(&letters));
        found.into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn an_accepted_signal_is_in_one_place() {
        let request = [sent(Way::Request, None, Fate::Accepted)];
        assert_eq!(kinds(&request, 1, 0, &[]), []);
        assert_eq!(kinds(&request, 0, 1, &[NEVER_TAKEN]), []);
        assert_eq!(kinds(&request, 2, 0, &[]), [Doubled]);
        assert_eq!(kinds(&request, 1, 1, &[NEVER_TAKEN]), [Doubled]);
        assert_eq!(kinds(&request, 0, 0, &[]), [Lost]);
        assert_eq!(kinds(&request, 0, 1, &[]), [Lost]);
        assert_eq!(kinds(&request, 0, 1, &[NEVER_TAKEN; 2]), [Doubled]);
    }

    #[test]
    fn a_stored_signal_is_taken_or_a_dead_letter() {
        let message = [sent(Way::Message, None, Fate::Stored)];
        assert_eq!(kinds(&message, 1, 0, &[]), []);
        assert_eq!(kinds(&message, 0, 0, &[RUN_ENDED]), []);
        assert_eq!(kinds(&message, 0, 0, &[]), [Lost]);
        assert_eq!(kinds(&message, 1, 0, &[RUN_ENDED]), [Wrong]);
        assert_eq!(kinds(&message, 1, 0, &["bad_payload"]), [Wrong]);
        let unknown = [sent(Way::Message, None, Fate::Unknown)];
        assert_eq!((kinds(&unknown, 0, 0, &[]), kinds(&unknown, 1, 0, &[])), (vec![], vec![]));
    }

    #[test]
    fn a_signal_with_a_flaw_is_refused_for_it() {
        let flaw = Some(Flaw::Payload);
        let message = [sent(Way::Message, flaw, Fate::Stored)];
        assert_eq!(kinds(&message, 0, 0, &["bad_payload"]), []);
        assert_eq!(kinds(&message, 0, 0, &[RUN_ENDED]), []);
        for letters in [&[][..], &["unknown_signal"], &["bad_payload"; 2]] {
            assert_eq!(kinds(&message, 0, 0, letters), [Wrong], "{letters:?}");
        }
        assert_eq!(
            kinds(&[sent(Way::Request, flaw, Fate::Refused("bad_payload".to_owned()))], 0, 0, &[]),
            []
        );
        assert_eq!(kinds(&[sent(Way::Request, flaw, Fate::Accepted)], 0, 0, &[]), [Wrong]);
    }
}
