//! What stores keep for a run id, apart for each incarnation that has used it.

use super::{RunInfo, WorkflowError};
use jetway_state::Incarnation;
use serde::{Deserialize, Serialize};

/// How many incarnations of a run id are kept apart. The values of earlier ones are dropped.
const KEPT: usize = 8;

/// A value of a run id for each incarnation, in the order in which the incarnations appeared.
///
/// A value without an incarnation was written by somebody who knows none. The next incarnation takes it over.
///
/// ```
/// use jetway_core::stores::by_incarnation::ByIncarnation;
/// use jetway_state::Incarnation;
///
/// let (earlier, later) = (Incarnation::from_random(1), Incarnation::from_random(2));
/// let mut steps = ByIncarnation::<u32>::default();
/// *steps.of_mut(earlier) = 7;
/// *steps.of_mut(later) = 1;
/// // A write of the earlier run that comes late.
/// *steps.of_mut(earlier) += 1;
/// assert_eq!((steps.of(later), steps.latest()), (Some(&1), Some(&1)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByIncarnation<T>(Vec<(Option<Incarnation>, T)>);

impl<T> Default for ByIncarnation<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> ByIncarnation<T> {
    /// The value of the incarnation that appeared last.
    pub fn latest(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    /// The value of the incarnation that appeared last, or a new one.
    pub fn latest_mut(&mut self) -> &mut T {
        let last = self.0.len().checked_sub(1);
        self.at(last, None)
    }

    /// The value of this incarnation.
    pub fn of(&self, incarnation: Incarnation) -> Option<&T> {
        self.position(incarnation).map(|position| &self.0[position].1)
    }

    /// The value of this incarnation, or a new one.
    pub fn of_mut(&mut self, incarnation: Incarnation) -> &mut T {
        let known = self.position(incarnation);
        self.at(known, Some(incarnation))
    }

    fn position(&self, incarnation: Incarnation) -> Option<usize> {
        let exact = self.0.iter().position(|(known, _)| *known == Some(incarnation));
        exact.or_else(|| self.0.iter().rposition(|(known, _)| known.is_none()))
    }

    fn at(&mut self, known: Option<usize>, incarnation: Option<Incarnation>) -> &mut T {
        let position = known.unwrap_or_else(|| {
            if self.0.len() == KEPT {
                self.0.remove(0);
            }
            self.0.push((None, T::default()));
            self.0.len() - 1
        });
        let (kept, value) = &mut self.0[position];
        *kept = incarnation.or(*kept);
        value
    }
}

/// A failed attempt of a run, and the incarnation that it belongs to; `None` where who recorded it knows none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// The incarnation.
    pub incarnation: Option<Incarnation>,
    /// The failed attempt.
    pub error: WorkflowError,
}

/// The failed attempts of one incarnation of a run, out of all that were recorded under its id, in their order. `None` stands
/// for the incarnation that appeared last. Those without an incarnation belong to every one.
pub fn errors_of(recorded: Vec<RecordedError>, incarnation: Option<Incarnation>) -> Vec<WorkflowError> {
    let wanted = incarnation.or_else(|| {
        let mut seen: Vec<Incarnation> = Vec::new();
        for incarnation in recorded.iter().filter_map(|error| error.incarnation) {
            if !seen.contains(&incarnation) {
                seen.push(incarnation);
            }
        }
        seen.pop()
    });
    let belongs = |error: &RecordedError| error.incarnation.is_none() || error.incarnation == wanted;
    recorded.into_iter().filter(belongs).map(|error| error.error).collect()
}

/// The entry of a run in a list of runs after its snapshot has said that it stands as `run`. `None`: the entry stays as it is.
/// `known` is the entry and the incarnation that it belongs to, where that is known.
///
/// The first end of an incarnation stays. An entry of another incarnation is replaced, unless that one started later: both
/// times come from the clock that the users of the store share.
pub fn listed(
    known: Option<(Option<Incarnation>, &RunInfo)>,
    run: &RunInfo,
    incarnation: Incarnation,
) -> Option<RunInfo> {
    let Some((of, known)) = known else {
        return Some(run.clone());
    };
    let ended = known.status.is_terminal();
    match of {
        Some(of) if of != incarnation => (run.started_at >= known.started_at).then(|| run.clone()),
        // Nobody knows whose end it is. The same end changes nothing.
        None if ended => (run.started_at >= known.started_at).then(|| run.clone()),
        Some(_) if ended => None,
        // The starter may have another clock.
        _ => Some(RunInfo {
            started_at: known.started_at,
            finished_at: run.finished_at.map(|at| at.max(known.started_at)),
            ..run.clone()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::{RunStatus, types::date_time};
    use jetway_state::Timestamp;

    fn incarnation(number: u128) -> Incarnation {
        Incarnation::from_random(number << 70)
    }

    #[test]
    fn h1_late_writes_stay_with_their_incarnation() {
        let mut values = ByIncarnation::<Vec<u32>>::default();
        values.latest_mut().push(0);
        values.of_mut(incarnation(1)).push(1);
        values.of_mut(incarnation(2)).push(2);
        values.of_mut(incarnation(1)).push(3);
        assert_eq!(values.of(incarnation(1)).unwrap(), &[0, 1, 3]);
        assert_eq!((values.latest().unwrap(), values.of(incarnation(3))), (&vec![2], None));
        for number in 3..100 {
            values.of_mut(incarnation(number)).push(4);
        }
        assert_eq!(values.0.len(), KEPT);
    }

    #[test]
    fn h1_errors_are_those_of_one_incarnation() {
        let error = |of: Option<u128>, text: &str| RecordedError {
            incarnation: of.map(incarnation),
            error: WorkflowError {
                work_item: String::new(),
                error: text.to_owned(),
                attempt: 1,
                timestamp: date_time(Timestamp(1)),
            },
        };
        let all = vec![error(Some(1), "a"), error(None, "b"), error(Some(2), "c"), error(Some(1), "d")];
        let texts = |of: Option<u128>| -> Vec<String> {
            errors_of(all.clone(), of.map(incarnation)).into_iter().map(|error| error.error).collect()
        };
        assert_eq!(
            (texts(Some(1)), texts(None)),
            (vec!["a".into(), "b".into(), "d".into()], vec!["b".into(), "c".into()])
        );
        assert_eq!(texts(Some(3)), ["b"]);
    }

    #[test]
    fn h1_an_entry_of_an_earlier_run_is_replaced() {
        let run = |status, started: u64| RunInfo {
            run_id: "r".to_owned(),
            status,
            started_at: date_time(Timestamp(started)),
            finished_at: None,
            output: None,
        };
        let (running, completed) = (run(RunStatus::Running, 5), run(RunStatus::Completed, 5));
        let status = |known: Option<(Option<u128>, &RunInfo)>, new: &RunInfo| {
            let known = known.map(|(of, info)| (of.map(incarnation), info));
            listed(known, new, incarnation(2)).map(|listed| listed.status)
        };
        assert_eq!(status(None, &running), Some(RunStatus::Running));
        // The same incarnation: its end is final.
        assert_eq!(status(Some((Some(2), &running)), &completed), Some(RunStatus::Completed));
        assert_eq!(status(Some((Some(2), &completed)), &running), None);
        // Another one, which started earlier, or later.
        let (earlier, later) = (run(RunStatus::Completed, 4), run(RunStatus::Running, 6));
        assert_eq!(status(Some((Some(1), &earlier)), &running), Some(RunStatus::Running));
        assert_eq!(status(Some((Some(1), &later)), &completed), None);
        // An entry that was written by hand.
        assert_eq!(status(Some((None, &later)), &completed), Some(RunStatus::Completed));
        assert_eq!(status(Some((None, &earlier)), &running), Some(RunStatus::Running));
    }
}
