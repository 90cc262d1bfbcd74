//! The subjects of signals, of those that are put off, and of the alarms that bring these back.
//!
//! | subject | who publishes | what |
//! |---|---|---|
//! | `jetway.ns.signal.<workflow>.<run_id>.<name>` | clients | a signal |
//! | `jetway.ns.signal.<workflow>.<run_id>.<name>.<sent>` | hosts | a signal that was put off and comes again; `sent` is when it was first sent |
//! | `jetway.ns.later.<workflow>.<run_id>.<name>.<sent>.<due>` | hosts | a signal that is put off until `due`. No consumer has it |
//! | `jetway.ns.timer.<minute>.<workflow>.signal.<sequence>` | hosts | the alarm of the message with this sequence |
//! | `jetway.ns.wake.<workflow>.signal.<sequence>` | the server | the same, at its time |
//!
//! Times are milliseconds since 1970. A time that decides something is in a subject, and not in a header: permissions restrict
//! subjects alone, so no client can write it.

use super::{Kind, Names, alarms::minute_of};
use jetway_state::{RunKey, SignalName, Timestamp, WorkflowName};

/// What marks the alarms of signals. The alarms of runs have more tokens.
const SIGNAL: &str = "signal";

/// The parts of a signal's subject, as its sender wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalTokens<'a> {
    pub(crate) workflow: &'a str,
    pub(crate) run_id: &'a str,
    pub(crate) name: &'a str,
    /// When it was first sent, if it was put off.
    pub(crate) sent_at: Option<Timestamp>,
}

/// The parts of the subject of a signal that is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PutOffTokens<'a> {
    pub(crate) workflow: &'a str,
    pub(crate) run_id: &'a str,
    pub(crate) name: &'a str,
    /// When it was first sent.
    pub(crate) sent_at: Timestamp,
    /// When it comes again.
    pub(crate) due: Timestamp,
}

impl Names {
    /// `jetway.ns.signal.<workflow>.<run_id>.<name>`
    pub(crate) fn signal(&self, run: &RunKey, name: &SignalName) -> String {
        self.subject(Kind::Signal, &[run.workflow.as_str(), run.run_id.as_str(), name.as_str()])
    }

    /// The subject of a signal that comes again.
    pub(crate) fn signal_again(&self, signal: PutOffTokens<'_>) -> String {
        let PutOffTokens { workflow, run_id, name, sent_at, .. } = signal;
        self.subject(Kind::SignalAgain, &[workflow, run_id, name, &sent_at.0.to_string()])
    }

    /// The subject of a signal that is put off.
    pub(crate) fn put_off(&self, signal: PutOffTokens<'_>) -> String {
        let PutOffTokens { workflow, run_id, name, sent_at, due } = signal;
        let (sent_at, due) = (sent_at.0.to_string(), due.0.to_string());
        self.subject(Kind::Later, &[workflow, run_id, name, &sent_at, &due])
    }

    /// The subjects of all signals.
    pub(crate) fn all_signals(&self) -> String {
        self.subject(Kind::Signal, &["*", "*", ">"])
    }

    /// The signals of a workflow.
    pub(crate) fn signals_of_workflow(&self, workflow: &str) -> String {
        self.subject(Kind::Signal, &Kind::Signal.consumed_tokens(workflow))
    }

    /// The signals of a run.
    pub(crate) fn signals_of_run(&self, run: &RunKey) -> String {
        self.subject(Kind::Signal, &[run.workflow.as_str(), run.run_id.as_str(), ">"])
    }

    /// The signals of a workflow that are put off, or of all.
    pub(crate) fn all_put_off(&self, workflow: Option<&WorkflowName>) -> String {
        self.subject(Kind::Later, &[workflow.map_or("*", WorkflowName::as_str), ">"])
    }

    /// The signals of a run that are put off.
    pub(crate) fn put_off_of_run(&self, run: &RunKey) -> String {
        self.subject(Kind::Later, &[run.workflow.as_str(), run.run_id.as_str(), ">"])
    }

    /// The places in which a signal may be put off, whenever it is due.
    pub(crate) fn put_off_at_any_time(&self, signal: PutOffTokens<'_>) -> String {
        let PutOffTokens { workflow, run_id, name, sent_at, .. } = signal;
        self.subject(Kind::Later, &[workflow, run_id, name, &sent_at.0.to_string(), "*"])
    }

    /// The parts of a signal's subject. `None` also for a time that is written in another way.
    pub(crate) fn signal_tokens<'a>(&self, subject: &'a str) -> Option<SignalTokens<'a>> {
        if let Some([workflow, run_id, name]) = self.tokens(Kind::Signal, subject) {
            return Some(SignalTokens { workflow, run_id, name, sent_at: None });
        }
        let [workflow, run_id, name, sent_at] = self.tokens(Kind::SignalAgain, subject)?;
        let sent_at = Some(time_of(sent_at)?);
        Some(SignalTokens { workflow, run_id, name, sent_at })
    }

    /// The workflow of a signal's subject, whatever else is in it.
    pub(crate) fn workflow_of_signal<'a>(&self, subject: &'a str) -> Option<&'a str> {
        self.strip(Kind::Signal, subject)?.split('.').next()
    }

    /// The parts of the subject of a signal that is put off.
    pub(crate) fn put_off_tokens<'a>(&self, subject: &'a str) -> Option<PutOffTokens<'a>> {
        let [workflow, run_id, name, sent_at, due] = self.tokens(Kind::Later, subject)?;
        Some(PutOffTokens { workflow, run_id, name, sent_at: time_of(sent_at)?, due: time_of(due)? })
    }

    /// The subject of the alarm of the message with this sequence.
    pub(crate) fn signal_timer(&self, workflow: &str, sequence: u64, due: Timestamp) -> String {
        let (minute, sequence) = (minute_of(due).to_string(), sequence.to_string());
        self.subject(Kind::Timer, &[&minute, workflow, SIGNAL, &sequence])
    }

    /// The subject of the wake-up of the message with this sequence.
    pub(crate) fn signal_wake(&self, workflow: &str, sequence: u64) -> String {
        self.subject(Kind::Wake, &[workflow, SIGNAL, &sequence.to_string()])
    }

    /// Whether this is the alarm of a signal.
    pub(crate) fn is_signal_timer(&self, subject: &str) -> bool {
        self.tokens(Kind::Timer, subject).is_some_and(|[_minute, _workflow, of, _sequence]| of == SIGNAL)
    }

    /// The workflow of a wake-up of a signal, and the sequence of the message.
    pub(crate) fn signal_wake_tokens<'a>(&self, subject: &'a str) -> Option<(&'a str, u64)> {
        let [workflow, of, sequence] = self.tokens(Kind::Wake, subject)?;
        let sequence = sequence.parse().ok().filter(|_| of == SIGNAL)?;
        (self.signal_wake(workflow, sequence) == subject).then_some((workflow, sequence))
    }
}

/// A time as it is in a subject. One time has one text.
fn time_of(token: &str) -> Option<Timestamp> {
    let time = token.parse().ok()?;
    (u64::to_string(&time) == token).then_some(Timestamp(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{Namespace, RunId};

    fn names() -> Names {
        Names::new(Namespace::new("ns").unwrap())
    }

    fn run() -> RunKey {
        RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new("order-1").unwrap())
    }

    #[test]
    fn the_subject_of_a_signal_is_built_and_parsed() {
        let subject = names().signal(&run(), &SignalName::new("approve").unwrap());
        assert_eq!(subject, "jetway.ns.signal.pay.order-1.approve");
        let tokens = names().signal_tokens(&subject).unwrap();
        let expected = SignalTokens { workflow: "pay", run_id: "order-1", name: "approve", sent_at: None };
        assert_eq!(tokens, expected);
        assert_eq!(names().signals_of_run(&run()), "jetway.ns.signal.pay.order-1.>");
        assert_eq!(names().signals_of_workflow("pay"), "jetway.ns.signal.pay.>");
        for foreign in [
            "jetway.ns.signal.pay.order-1",
            "jetway.ns.signal.pay..approve",
            "jetway.ns.signal.pay.order-1.approve.x",
            "jetway.ns.signal.pay.order-1.approve.01",
            "jetway.ns.signal.pay.order-1.approve.1.2",
            "jetway.ns2.signal.pay.order-1.approve",
        ] {
            assert_eq!(names().signal_tokens(foreign), None, "{foreign}");
        }
        assert_eq!(names().workflow_of_signal("jetway.ns.signal.pay.a.b.c.d"), Some("pay"));
    }

    #[test]
    fn a_signal_that_is_put_off_keeps_the_time_of_its_sender() {
        let (sent_at, due) = (Timestamp(61_000), Timestamp(121_000));
        let signal = PutOffTokens { workflow: "pay", run_id: "order-1", name: "approve", sent_at, due };
        let subject = names().put_off(signal);
        assert_eq!(subject, "jetway.ns.later.pay.order-1.approve.61000.121000");
        assert_eq!(names().put_off_tokens(&subject), Some(signal));
        assert_eq!(names().signal_tokens(&subject), None);
        assert_eq!(names().put_off_of_run(&run()), "jetway.ns.later.pay.order-1.>");
        assert_eq!(names().put_off_at_any_time(signal), "jetway.ns.later.pay.order-1.approve.61000.*");
        let again = names().signal_again(signal);
        assert_eq!(again, "jetway.ns.signal.pay.order-1.approve.61000");
        assert_eq!(names().signal_tokens(&again).and_then(|tokens| tokens.sent_at), Some(sent_at));
        assert_eq!(names().put_off_tokens("jetway.ns.later.pay.order-1.approve.61000.0121000"), None);
    }

    #[test]
    fn the_alarm_of_a_signal_is_none_of_a_run() {
        let names = names();
        let timer = names.signal_timer("pay", 7, Timestamp(121_000));
        assert_eq!(timer, "jetway.ns.timer.2.pay.signal.7");
        assert!(names.is_signal_timer(&timer) && names.timer_tokens(&timer).is_none());
        let wake = names.signal_wake("pay", 7);
        assert_eq!(wake, "jetway.ns.wake.pay.signal.7");
        assert_eq!(names.signal_wake_tokens(&wake), Some(("pay", 7)));
        assert_eq!(names.wake_tokens(&wake), None);
        for foreign in ["jetway.ns.wake.pay.signal.07", "jetway.ns.wake.pay.other.7"] {
            assert_eq!(names.signal_wake_tokens(foreign), None, "{foreign}");
        }
        // A run may have any id.
        let run = RunKey::new(run().workflow, RunId::new(SIGNAL).unwrap());
        let of_run = names.timer(&run, jetway_state::Incarnation::default(), Timestamp(1));
        assert!(!names.is_signal_timer(&of_run), "{of_run}");
    }
}
