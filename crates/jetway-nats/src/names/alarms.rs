//! The subjects of alarms and of wake-ups.
//!
//! Alarms and wake-ups share one stream. A worker is trusted with all of that stream: whoever may arm an alarm may make the server
//! write or remove any message of the stream, by headers that no permission can restrict.

use super::{Kind, Names};
use jetway_engine::backend::Ticket;
use jetway_state::{Incarnation, RunKey, Timestamp, WorkflowName};

const MINUTE: u64 = 60_000;

/// The run in the subject of a wake-up or of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WakeTokens<'a> {
    pub(crate) workflow: &'a str,
    pub(crate) run_id: &'a str,
    /// The short form.
    pub(crate) incarnation: &'a str,
}

impl WakeTokens<'_> {
    /// Whether the ticket is of the run of the subject.
    pub(crate) fn match_ticket(&self, ticket: &Ticket) -> bool {
        self.workflow == ticket.workflow.as_str()
            && self.run_id == ticket.run_id.as_str()
            && self.incarnation == ticket.incarnation.short()
    }
}

/// The minute since 1970 of a time: alarms are listed minute by minute.
pub(crate) fn minute_of(time: Timestamp) -> u64 {
    time.0 / MINUTE
}

impl Names {
    /// The subject of an alarm: `jetway.ns.timer.<minute>.<workflow>.<run_id>.<incarnation>.<millisecond of the minute>`. Two times
    /// of one run are two alarms, also in the same minute.
    pub(crate) fn timer(&self, run: &RunKey, incarnation: Incarnation, due: Timestamp) -> String {
        let incarnation = incarnation.short();
        let tokens = WakeTokens {
            workflow: run.workflow.as_str(),
            run_id: run.run_id.as_str(),
            incarnation: &incarnation,
        };
        self.timer_of(tokens, due)
    }

    /// The same, from the tokens of a run.
    pub(crate) fn timer_of(&self, run: WakeTokens<'_>, due: Timestamp) -> String {
        let (minute, millisecond) = (minute_of(due).to_string(), (due.0 % MINUTE).to_string());
        let WakeTokens { workflow, run_id, incarnation } = run;
        self.subject(Kind::Timer, &[&minute, workflow, run_id, incarnation, &millisecond])
    }

    /// The alarms of a workflow that are due in a minute since 1970, or in any.
    pub(crate) fn timers(&self, workflow: &WorkflowName, minute: Option<u64>) -> String {
        let minute = minute.map_or_else(|| "*".to_owned(), |minute| minute.to_string());
        self.subject(Kind::Timer, &[&minute, workflow.as_str(), ">"])
    }

    /// The alarms of one incarnation of a run.
    pub(crate) fn timers_of_run(&self, run: &RunKey, incarnation: Incarnation) -> String {
        let (workflow, run_id) = (run.workflow.as_str(), run.run_id.as_str());
        self.subject(Kind::Timer, &["*", workflow, run_id, &incarnation.short(), "*"])
    }

    /// All alarms.
    pub(crate) fn all_timers(&self) -> String {
        self.subject(Kind::Timer, &[">"])
    }

    /// The run of an alarm's subject, and when it is due. `None` also for a time that is written in another way.
    pub(crate) fn timer_tokens<'a>(&self, subject: &'a str) -> Option<(WakeTokens<'a>, Timestamp)> {
        let [minute, workflow, run_id, incarnation, millisecond] = self.tokens(Kind::Timer, subject)?;
        let (minute, millisecond) = (minute.parse::<u64>().ok()?, millisecond.parse().ok()?);
        let due = Timestamp(minute.checked_mul(MINUTE)?.checked_add(millisecond)?);
        let run = WakeTokens { workflow, run_id, incarnation };
        (self.timer_of(run, due) == subject).then_some((run, due))
    }

    /// The subject of a wake-up: `jetway.ns.wake.<workflow>.<run_id>.<incarnation>.<millisecond since 1970>`. Each alarm of a run has
    /// its own: the stream keeps one message for each subject, and a wake-up may wait for a host while the next alarm rings.
    pub(crate) fn wake(&self, run: WakeTokens<'_>, due: Timestamp) -> String {
        self.subject(Kind::Wake, &[run.workflow, run.run_id, run.incarnation, &due.0.to_string()])
    }

    /// The wake-ups of a workflow.
    pub(crate) fn wakes_of_workflow(&self, workflow: &WorkflowName) -> String {
        self.subject(Kind::Wake, &[workflow.as_str(), ">"])
    }

    /// All wake-ups.
    pub(crate) fn all_wakes(&self) -> String {
        self.subject(Kind::Wake, &[">"])
    }

    /// The run of a wake-up's subject, and the time of its alarm. `None` also for a time that is written in another way.
    pub(crate) fn wake_tokens<'a>(&self, subject: &'a str) -> Option<(WakeTokens<'a>, Timestamp)> {
        let [workflow, run_id, incarnation, due] = self.tokens(Kind::Wake, subject)?;
        let (run, due) = (WakeTokens { workflow, run_id, incarnation }, Timestamp(due.parse().ok()?));
        (self.wake(run, due) == subject).then_some((run, due))
    }
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
    fn the_subject_of_an_alarm_is_built_and_parsed() {
        let due = Timestamp(29_400_000 * MINUTE + 59_999);
        let subject = names().timer(&run(), Incarnation::default(), due);
        assert_eq!(subject, "jetway.ns.timer.29400000.pay.order-1.00000000.59999");
        let (tokens, found) = names().timer_tokens(&subject).unwrap();
        assert_eq!((tokens.run_id, found), ("order-1", due));
        assert_eq!(names().timer_of(tokens, due), subject);
        assert_eq!(names().timers(&run().workflow, Some(minute_of(due))), "jetway.ns.timer.29400000.pay.>");
        assert_eq!(names().timers(&run().workflow, None), "jetway.ns.timer.*.pay.>");
        let all = names().timers_of_run(&run(), Incarnation::default());
        assert_eq!(all, "jetway.ns.timer.*.pay.order-1.00000000.*");
        for foreign in [
            "jetway.ns.timer.x.pay.order-1.00000000.0",
            "jetway.ns.timer.01.pay.order-1.00000000.0",
            "jetway.ns.timer.1.pay.order-1.00000000.60000",
            "jetway.ns.timer.1.pay.order-1.00000000",
            "jetway.ns.timer.18446744073709551615.pay.order-1.00000000.0",
            "jetway.ns.wake.pay.order-1.00000000",
        ] {
            assert_eq!(names().timer_tokens(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_times_of_a_run_have_subjects_of_their_own() {
        let at = |due| names().timer(&run(), Incarnation::default(), Timestamp(due));
        assert_ne!(at(60_001), at(60_002));
        assert_ne!(at(60_001), at(120_001));
    }

    #[test]
    fn the_subject_of_a_wake_up_is_built_and_parsed() {
        let tokens = WakeTokens { workflow: "pay", run_id: "order-1", incarnation: "00000000" };
        let subject = names().wake(tokens, Timestamp(60_001));
        assert_eq!(subject, "jetway.ns.wake.pay.order-1.00000000.60001");
        assert_eq!(names().wake_tokens(&subject), Some((tokens, Timestamp(60_001))));
        assert_ne!(subject, names().wake(tokens, Timestamp(60_002)));
        for foreign in ["jetway.ns.wake.pay.order-1.00000000", "jetway.ns.wake.pay.order-1.00000000.01"] {
            assert_eq!(names().wake_tokens(foreign), None, "{foreign}");
        }
        assert_eq!(names().wakes_of_workflow(&run().workflow), "jetway.ns.wake.pay.>");
    }
}
