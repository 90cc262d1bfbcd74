//! Where each signal is in the end.

use super::letters::{Letters, NEVER_TAKEN, RUN_ENDED};
use crate::{
    check::{
        Kind::{Doubled, Lost, Wrong},
        Violation,
        report::observed,
    },
    interpreter::{Answered, Entry},
    program::Token,
    runs::{Fate, Sent},
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
}

impl Places {
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self, String> {
        let ledger = observed(snapshot)?.ledger;
        let left = snapshot.mailbox.letters.iter().map(|letter| {
            let token: Token =
                value::read(&letter.payload, &"a signal").map_err(|error| error.to_string())?;
            Ok((letter.name.clone(), token.number))
        });
        let left = left.collect::<Result<_, String>>()?;
        Ok(Self { status: snapshot.status, trail: ledger.trail, answers: ledger.answers, left })
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

/// Checks one signal, which was sent by these calls.
pub(super) fn check_signal(
    number: u64,
    calls: &[&Sent],
    places: &Places,
    letters: &Letters,
) -> Vec<Violation> {
    let Some(Sent { name, flaw, .. }) = calls.first() else { return Vec::new() };
    let signal = format!("signal {number} ({name})");
    let (taken, left) = (places.takers(number).count() as u64, places.left(number));
    let reasons = letters.of(number);
    let of = |why: &str| reasons.iter().filter(|other| *other == why).count() as u64;
    let has_ended = places.status.is_terminal();
    let mut found = Vec::new();
    let mut add = |kind, what: String| found.push(Violation::new(kind, format!("{signal} {what}")));
    if flaw.is_some() {
        if taken + left > 0 {
            add(Wrong, "is one that no run may take, and was taken".to_owned());
        }
        let stored = calls.iter().filter(|call| call.fate == Fate::Stored).count();
        let is_right =
            |why: &String| why == RUN_ENDED || Some(why.as_str()) == flaw.map(|flaw| flaw.reason());
        if reasons.len() < stored || reasons.len() > calls.len() || !reasons.iter().all(is_right) {
            add(
                Wrong,
                format!("was refused {stored} times as a message, and is a dead letter for {reasons:?}"),
            );
        }
        let accepted = calls.iter().find(|call| match &call.fate {
            Fate::Accepted => true,
            Fate::Refused(why) => !is_right(why),
            Fate::Unknown | Fate::Stored => false,
        });
        if let Some(call) = accepted {
            add(Wrong, format!("has a flaw, and its sender was told {:?}", call.fate));
        }
        return found;
    }
    if taken + left > 1 {
        let takers: Vec<&str> = places.takers(number).map(|(answer, _)| answer.step.as_str()).collect();
        add(Doubled, format!("was taken by {takers:?}, and was left over {left} times"));
    }
    let has = |fate: &Fate| calls.iter().any(|call| call.fate == *fate);
    if taken + left == 0 && has(&Fate::Accepted) {
        add(Lost, "was accepted, and no step has taken it".to_owned());
    }
    if taken + left == 0 && has(&Fate::Stored) && of(RUN_ENDED) == 0 {
        add(Lost, "was stored, no step has taken it, and it is no dead letter".to_owned());
    }
    if has_ended && of(NEVER_TAKEN) != left {
        let kind = if of(NEVER_TAKEN) < left { Lost } else { Doubled };
        add(kind, format!("was left over {left} times, and {} dead letters say so", of(NEVER_TAKEN)));
    }
    if of(RUN_ENDED) > 0 && (taken + left > 0 || !has_ended || of(RUN_ENDED) > calls.len() as u64) {
        let status = places.status;
        add(
            Wrong,
            format!("is a dead letter for {reasons:?}; {taken} steps have taken it, and the run is {status}"),
        );
    }
    if let Some(why) = reasons.iter().find(|why| ![NEVER_TAKEN, RUN_ENDED].contains(&why.as_str())) {
        add(Wrong, format!("has no flaw, and is a dead letter for {why:?}"));
    }
    let refused = calls.iter().find(|call| matches!(&call.fate, Fate::Refused(why) if why != RUN_ENDED));
    if let Some(call) = refused {
        add(Wrong, format!("has no flaw, and its sender was told {:?}", call.fate));
    }
    if !has_ended && has(&Fate::Refused(RUN_ENDED.to_owned())) {
        add(Wrong, format!("was refused, since the run had ended, and the run is {}", places.status));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::Kind,
        program::Listen,
        runs::{Flaw, Moment, Way},
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
