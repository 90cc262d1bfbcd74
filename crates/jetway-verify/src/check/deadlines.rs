//! Checks the deadlines of runs: no run ends for its deadline before that, and none that has one goes on after it.

use super::{
    Kind::{Early, Wrong},
    Observed, Violation,
};
use jetway::client::Status;
use jetway_state::run::Snapshot;
use std::time::Duration;

/// The kind of the error of a run that was not done at its deadline.
const DEADLINE: &str = "deadline";

/// How long the last step of a run may take, and how long a deadline may stay unnoticed whose alarm is lost.
const NOTICED_WITHIN: Duration = Duration::from_secs(25);

impl Observed {
    /// Whether the run has failed, or is being cleaned up, because its deadline has passed.
    pub(super) fn is_past_deadline(&self) -> bool {
        self.error_kind.as_deref() == Some(DEADLINE)
    }
}

/// Checks a run that may take so long.
pub(super) fn check(limit: Option<Duration>, observed: &Observed) -> Vec<Violation> {
    let must = limit.map(|limit| Snapshot::deadline_of(observed.started_at, limit));
    let mut found = Vec::new();
    if observed.deadline.is_some() != must.is_some() || observed.deadline < must {
        let what = format!("the deadline of the run is {:?}, expected {must:?}", observed.deadline);
        found.push(Violation::new(Wrong, what));
    }
    // It is later if the run was paused.
    let must = must.max(observed.deadline);
    let (Some(finished), is_past) = (observed.finished_at, observed.is_past_deadline()) else { return found };
    match must {
        None if is_past => {
            found.push(Violation::new(Wrong, "the run ended for its deadline, and has none"));
        }
        Some(deadline) if is_past && finished < deadline => {
            let what = format!("the run failed at {finished} for its deadline, {deadline}");
            found.push(Violation::new(Early, what));
        }
        Some(deadline)
            if observed.status == Status::Completed && finished > deadline.after(NOTICED_WITHIN) =>
        {
            let what = format!("the run completed at {finished}, long after its deadline, {deadline}");
            found.push(Violation::new(Wrong, what));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::PlainLedger;
    use jetway::Timestamp;

    #[test]
    fn a_run_that_ends_early_or_never_is_found() {
        let limit = Some(Duration::from_secs(2));
        let found = |status, kind: Option<&str>, finished: u64, deadline: Option<u64>| {
            let observed = Observed {
                error_kind: kind.map(str::to_owned),
                started_at: Timestamp(1_000),
                finished_at: Some(Timestamp(finished)),
                deadline: deadline.map(Timestamp),
                ..Observed::with(status, PlainLedger::default())
            };
            check(limit, &observed).into_iter().map(|violation| violation.kind).collect::<Vec<_>>()
        };
        let failed = |finished| found(Status::Failed, Some(DEADLINE), finished, Some(3_000));
        assert_eq!((failed(3_000), failed(2_999)), (vec![], vec![Early]));
        let completed = |finished| found(Status::Completed, None, finished, Some(3_000));
        assert_eq!((completed(2_000), completed(3_100), completed(90_000)), (vec![], vec![], vec![Wrong]));
        assert_eq!(found(Status::Completed, None, 2_000, None), [Wrong]);
        assert_eq!(found(Status::Completed, None, 2_000, Some(2_999)), [Wrong]);
        assert_eq!(
            found(Status::Failed, Some(DEADLINE), 3_500, Some(4_000)),
            [Early],
            "it was paused for a second"
        );
        let observed = Observed {
            error_kind: Some(DEADLINE.to_owned()),
            finished_at: Some(Timestamp(1)),
            ..Observed::with(Status::Failed, PlainLedger::default())
        };
        assert_eq!(check(None, &observed).len(), 1);
    }
}
