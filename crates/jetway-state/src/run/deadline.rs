//! The deadline of a whole run.
//!
//! It is a time, written when the run is started: the start of the run, and what it may take. No retry and no restart makes it later. A
//! pause does not count: a paused run has no alarm for its deadline, and the commit that resumes it moves the deadline by the pause. The
//! alarm of the run covers it. Whoever gets the ticket of that alarm, or another ticket of the run after the deadline,
//! ends the run.
//!
//! | the run | at its deadline |
//! |---|---|
//! | has no `on_cancel` edge | fails, kind `deadline` |
//! | has `on_cancel` edges | is cancelling; when its clean-up is over, it has failed, kind `deadline` |
//! | is cancelling already, or has ended | stays as it is |
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the commit that ends the run | effects of the end are missing | redelivery of the ticket; the sweep |
//! | the commit that begins the clean-up | as after the commit of a cancel | redelivery of the ticket; the sweep |

use super::{
    clean_up::{CancelReason, begin_clean_up, end_clean_up},
    control::end_run,
    effect::{Applied, Effect},
    recover::TicketWanted,
    snapshot::{RunError, Snapshot, Status},
    start_time::parse_duration,
    wait::{Later, MAX_WAIT},
};
use crate::{CommitId, Error, ItemId, Rounded, Timestamp, time::rounded_up};
use std::{fmt, time::Duration};

/// How long a run may take, as its client asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RunDeadline {
    /// As long as its workflow says.
    #[default]
    OfWorkflow,
    /// This long after its start.
    After(Duration),
    /// What the client wrote is no time: the start is refused.
    Unreadable(String),
}

/// Why a start with a deadline is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDeadline {
    /// It is no time.
    #[error(
        "invalid deadline {0:?}: use the time that the run may take, such as 500ms, 90s, 10m, 2h or 3d (days are the largest unit)"
    )]
    Unreadable(String),
    /// It is no time at all.
    #[error("a deadline of zero: no step could run")]
    Zero,
    /// It is too far ahead.
    #[error("deadline of {} is out of range: it may be 100 years at most", Rounded(*.0))]
    OutOfRange(Duration),
}

impl RunDeadline {
    /// Reads a number and one of `ms`, `s`, `m`, `h`, `d`.
    pub fn parse(text: &str) -> Self {
        parse_duration(text.trim()).map_or_else(|| Self::Unreadable(text.to_owned()), Self::After)
    }

    /// How long the run may take; `None` for ever. `of_workflow` is what its workflow says.
    ///
    /// # Errors
    /// What the client wrote is no time or more than 100 years, or the time is zero.
    pub fn check(&self, of_workflow: Option<Duration>) -> Result<Option<Duration>, BadDeadline> {
        match self {
            Self::OfWorkflow if of_workflow == Some(Duration::ZERO) => Err(BadDeadline::Zero),
            Self::OfWorkflow => Ok(of_workflow),
            Self::After(Duration::ZERO) => Err(BadDeadline::Zero),
            Self::After(time) if *time > MAX_WAIT => Err(BadDeadline::OutOfRange(*time)),
            Self::After(time) => Ok(Some(*time)),
            Self::Unreadable(text) => Err(BadDeadline::Unreadable(text.chars().take(64).collect())),
        }
    }

    /// The value of the header; `None` if there is to be none.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::OfWorkflow => None,
            Self::After(time) => Some(format!("{}ms", rounded_up(*time).as_millis())),
            Self::Unreadable(text) => Some(text.clone()),
        }
    }
}

impl fmt::Display for RunDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.header().unwrap_or_else(|| "that of the workflow".to_owned()))
    }
}

impl Snapshot {
    /// The deadline of a run that starts at `start` and may take so long.
    pub fn deadline_of(start: Timestamp, limit: Duration) -> Timestamp {
        Later::After(limit.min(MAX_WAIT)).due(start)
    }

    /// The deadline, as long as the run has not ended and is not cancelled.
    pub fn runs_until(&self) -> Option<Timestamp> {
        self.deadline.filter(|_| self.status == Status::Running)
    }

    /// The deadline, whatever the status is. That of a paused run is the one that it has if it is resumed now.
    pub fn deadline_at(&self, now: Timestamp) -> Option<Timestamp> {
        let pause = self.paused_at.filter(|_| self.status == Status::Paused).map(|since| now.since(since));
        self.deadline.map(|deadline| deadline.after(pause.unwrap_or_default()))
    }

    /// When the run, or its clean-up, has to end.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.runs_until().or_else(|| self.clean_up_until())
    }

    /// Whether the run, or its clean-up, has to end now.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.ends_at().is_some_and(|until| until <= now)
    }

    /// The ticket of the alarm for the deadline. Its item never exists: who gets it looks at the record, and runs nothing that
    /// another worker may be running.
    pub(super) fn deadline_ticket(&self) -> Option<TicketWanted> {
        let item = ItemId::deadline();
        let (node, ticket_item) = (Some(item.to_string()), item.clone());
        self.runs_until().map(|_| TicketWanted { item, node, ticket_item })
    }

    /// The run has just been paused.
    pub(super) fn stop_deadline(&mut self) {
        self.paused_at = self.deadline.map(|_| self.updated_at);
    }

    /// The run has just been resumed: the pause does not count.
    pub(super) fn move_deadline(&mut self) {
        let pause = self.paused_at.take().map(|since| self.updated_at.since(since));
        self.deadline = self.deadline.map(|deadline| deadline.after(pause.unwrap_or_default()));
    }

    fn deadline_error(&self) -> RunError {
        let error = Error::Deadline(self.deadline.unwrap_or_default());
        let left = match self.pending() {
            1 => "one item was left".to_owned(),
            items => format!("{items} items were left"),
        };
        let (kind, message) = (error.kind().to_owned(), format!("{error}: {left}"));
        RunError { item: None, node: None, attempt: 0, kind, message }
    }
}

/// Ends a run whose deadline has passed, or whose clean-up has not ended within its limit. Clean-up that begins now takes
/// `clean_up_limit` at most. `None` if the run need not end.
pub fn end_overdue(
    mut snapshot: Snapshot,
    commit: CommitId,
    at: Timestamp,
    clean_up_limit: Duration,
) -> Option<Applied> {
    if snapshot.runs_until().is_none_or(|deadline| deadline > at) {
        return end_clean_up(snapshot, commit, at);
    }
    snapshot.error = Some(snapshot.deadline_error());
    if snapshot.has_clean_up {
        return Some(begin_clean_up(snapshot, commit, at, clean_up_limit, CancelReason::Deadline));
    }
    let mut applied = end_run(snapshot, Status::Failed, commit, at)?;
    applied.effects.insert(0, Effect::TellHosts);
    Some(applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Fingerprint, Incarnation, RunKey,
        run::{
            Begin, RunInput, Trace, Wait, begin,
            clean_up::{cancel_with_clean_up, terminate},
            control::{pause, resume},
        },
    };
    use bytes::Bytes;

    const DEADLINE: Timestamp = Timestamp(10_000);

    fn begun() -> Snapshot {
        let key = RunKey::new("w".parse().unwrap(), "r".parse().unwrap());
        let (incarnation, commit, at) = (Incarnation::default(), CommitId::default(), Timestamp(100));
        let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
        let (snapshot, _) =
            begin(Begin { key, incarnation, commit, at, due: None, trace: Trace::default(), input });
        Snapshot { deadline: Some(DEADLINE), ..snapshot }
    }

    fn end(snapshot: Snapshot, at: Timestamp) -> Option<Applied> {
        end_overdue(snapshot, CommitId::default(), at, Duration::from_secs(60))
    }

    #[test]
    fn the_alarm_of_a_run_covers_its_deadline() {
        let snapshot = begun();
        let alarm = snapshot.alarm(Timestamp(100)).unwrap();
        assert_eq!((alarm.due, &alarm.ticket.item), (DEADLINE, &ItemId::deadline()));
        assert!(!snapshot.is_pending(&alarm.ticket.item), "no step runs under its ticket");
        assert!(snapshot.alarm(DEADLINE).is_none());
        // What is due before comes first, and at the same time it takes the place.
        for (due, item) in [(9_000, ItemId::start()), (10_000, ItemId::start()), (11_000, ItemId::deadline())]
        {
            let waits = [(ItemId::start(), Wait::Timer { due: Timestamp(due) })].into();
            let snapshot = Snapshot { waits, ..snapshot.clone() };
            let alarm = snapshot.alarm(Timestamp(100)).unwrap();
            assert_eq!((alarm.due, alarm.ticket.item), (Timestamp(due).min(DEADLINE), item));
        }
    }

    #[test]
    fn a_run_fails_at_its_deadline_and_not_before() {
        assert_eq!(end(begun(), Timestamp(9_999)), None);
        let Applied { snapshot, effects, .. } = end(begun(), DEADLINE).unwrap();
        let error = snapshot.error.as_ref().unwrap();
        assert_eq!((snapshot.status, error.kind.as_str()), (Status::Failed, "deadline"));
        assert!(error.message.ends_with("its deadline, 1970-01-01T00:00:10.000Z: one item was left"));
        assert_eq!(effects, [Effect::TellHosts, Effect::PublishResult]);
        assert_eq!(end(snapshot, Timestamp(20_000)), None, "an end is final");
        // An older build would let it go on.
        assert_eq!(begun().seal(Fingerprint(1)).unwrap()[3], 3);
    }

    #[test]
    fn w27_a_pause_does_not_count() {
        let commit = CommitId::default();
        let paused = pause(begun(), commit, Timestamp(1_000)).unwrap().snapshot;
        assert_eq!((paused.alarm(Timestamp(1_000)), paused.deadline), (None, Some(DEADLINE)));
        assert_eq!(end(paused.clone(), Timestamp(50_000)), None);
        let Applied { snapshot, effects, .. } = resume(paused, commit, Timestamp(20_000)).unwrap();
        assert_eq!((snapshot.deadline, snapshot.paused_at), (Some(Timestamp(29_000)), None));
        assert_eq!(effects, [Effect::ArmAlarm { since: Timestamp(20_000) }]);
        assert_eq!(end(snapshot.clone(), Timestamp(28_999)), None);
        assert_eq!(end(snapshot, Timestamp(29_000)).unwrap().snapshot.status, Status::Failed);
        // A run without a deadline does not get one, and its record stays one that earlier builds read.
        let endless = Snapshot { deadline: None, ..begun() };
        let paused = pause(endless, commit, Timestamp(1_000)).unwrap().snapshot;
        assert_eq!(paused.paused_at, None);
        assert_eq!(resume(paused, commit, Timestamp(2_000)).unwrap().snapshot.deadline, None);
    }

    #[test]
    fn a_clean_up_after_the_deadline_ends_as_failed() {
        let Applied { snapshot, effects, .. } =
            end(Snapshot { has_clean_up: true, ..begun() }, DEADLINE).unwrap();
        assert_eq!((snapshot.status, snapshot.runs_until()), (Status::Cancelling, None));
        assert_eq!(effects[..2], [Effect::ArmAlarm { since: DEADLINE }, Effect::TellHosts]);
        assert_eq!(snapshot.ends_at(), Some(Timestamp(70_000)));
        assert_eq!(end(snapshot.clone(), Timestamp(69_999)), None);
        let timed_out = end(snapshot.clone(), Timestamp(70_000)).unwrap().snapshot;
        let reason = timed_out.cancel.as_ref().map(|cancel| (cancel.reason, cancel.not_run.clone()));
        assert_eq!(timed_out.status, Status::Failed);
        assert_eq!(reason, Some((CancelReason::CleanUpTimeout, vec!["a".to_owned()])));
        let terminated = terminate(snapshot, CommitId::default(), Timestamp(20_000)).unwrap().snapshot;
        assert_eq!(terminated.status, Status::Cancelled);
        assert_eq!(terminated.error.map(|error| error.kind), Some("deadline".to_owned()));
    }

    #[test]
    fn a_cancel_before_the_deadline_stays_a_cancel() {
        let limit = Duration::from_secs(60);
        let snapshot = Snapshot { has_clean_up: true, ..begun() };
        let cancelling =
            cancel_with_clean_up(snapshot, CommitId::default(), Timestamp(9_000), limit).unwrap().snapshot;
        assert_eq!(end(cancelling.clone(), DEADLINE), None);
        let timed_out = end(cancelling, Timestamp(69_000)).unwrap().snapshot;
        assert_eq!((timed_out.status, timed_out.error), (Status::Cancelled, None));
    }

    #[test]
    fn a_deadline_is_a_number_and_a_unit() {
        for (text, millis) in
            [("500ms", 500), (" 90s ", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("3d", 259_200_000)]
        {
            let deadline = RunDeadline::parse(text);
            assert_eq!(deadline, RunDeadline::After(Duration::from_millis(millis)), "{text}");
            assert_eq!(RunDeadline::parse(&deadline.header().unwrap()), deadline, "{text}");
        }
        for bad in ["", "10", "soon", "-1s", "+10s", "1.5h", "10 m", "2030-01-01T00:00:00Z"] {
            let refused = RunDeadline::parse(bad).check(None).unwrap_err();
            assert_eq!(refused, BadDeadline::Unreadable(bad.to_owned()));
        }
    }

    #[test]
    fn a_deadline_is_within_100_years_and_not_zero() {
        let check = |time| RunDeadline::After(time).check(Some(Duration::from_secs(1)));
        assert_eq!(check(Duration::ZERO), Err(BadDeadline::Zero));
        assert_eq!(check(MAX_WAIT), Ok(Some(MAX_WAIT)));
        assert!(matches!(check(Duration::MAX), Err(BadDeadline::OutOfRange(_))));
        let of_workflow = Some(Duration::from_secs(9));
        assert_eq!(RunDeadline::OfWorkflow.check(of_workflow), Ok(of_workflow));
        assert_eq!(RunDeadline::OfWorkflow.check(Some(Duration::ZERO)), Err(BadDeadline::Zero));
        assert_eq!(RunDeadline::OfWorkflow.header(), None);
    }
}
