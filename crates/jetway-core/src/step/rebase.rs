//! Rebases an attempt on a context that other steps have changed in the meantime.

use super::erased::TaskInput;
use crate::{Context, Merge, panics::guarded_now};
use bytes::Bytes;
use jetway_state::{
    Error,
    run::{AttemptReport, EncodedOutcome, SawSignals, Snapshot},
    value,
};

/// An attempt, with the context that its node started from.
#[derive(Debug, Clone)]
pub struct AttemptWithBase {
    /// The attempt.
    pub report: AttemptReport,
    /// The encoded context that the node started from.
    pub base: Bytes,
    /// What the attempt knew of the wait of its item for signals.
    pub saw: Option<SawSignals>,
    /// The input of the node, for its `on_failure` edge; `None` where no node ran.
    pub input: Option<TaskInput>,
}

impl AttemptWithBase {
    /// Whether the node must run again: the wait of its item for signals is another one than when it started, or a signal has come
    /// since. One write settles the race between a signal and its deadline.
    pub fn is_outdated(&self, latest: &Snapshot) -> bool {
        let report = &self.report;
        let ran = !matches!(report.produced, EncodedOutcome::Admit | EncodedOutcome::Started(_));
        ran && latest.is_pending(&report.item) && latest.saw(&report.item) != self.saw
    }

    /// The attempt with its change re-applied to the latest context. Where that is not possible, the attempt fails, and `fail`
    /// gives its outcome.
    ///
    /// Returns `None` where the node must run again: it returned `Hold` because of a context that has changed since.
    /// Otherwise each branch of a join could return `Hold` because it does not see the others, and none would continue.
    pub fn rebased(
        &self,
        latest: &Bytes,
        rebase: impl FnOnce(&Bytes, &Bytes, &Bytes) -> Result<Bytes, Error>,
        fail: impl FnOnce(&Error) -> EncodedOutcome,
    ) -> Option<AttemptReport> {
        jetway_state::hop!("AttemptWithBase::rebased");
        let report = self.report.clone();
        if self.base == *latest {
            return Some(report);
        }
        if report.produced == EncodedOutcome::Hold {
            return None;
        }
        let Some(mine) = &report.context else {
            return Some(report);
        };
        Some(match rebase(&self.base, mine, latest) {
            Ok(context) => AttemptReport { context: Some(context), ..report },
            Err(error) => report.without_result(fail(&error)),
        })
    }
}

/// Re-applies the change from `base` to `mine` to the encoded context `theirs`.
///
/// # Errors
/// A context that cannot be decoded or encoded, or a merge that panics.
pub(crate) fn rebase_context<C: Context + Merge>(
    base: &Bytes,
    mine: &Bytes,
    theirs: &Bytes,
) -> Result<Bytes, Error> {
    let decode = |bytes: &Bytes| value::read::<C>(bytes, &"the context");
    guarded_now(|| {
        let (mine, theirs) = (decode(mine)?, decode(theirs)?);
        value::write_opaque(&mine.rebase(&decode(base)?, theirs), &"the context")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;
    use jetway_state::{Incarnation, ItemId, Timestamp, codec, run::AttemptId};

    fn attempt(
        produced: EncodedOutcome,
        base: &'static [u8],
        mine: Option<&'static [u8]>,
    ) -> AttemptWithBase {
        let report = AttemptReport {
            incarnation: Incarnation::default(),
            item: ItemId::start(),
            node: "a".to_owned(),
            ticket_item: ItemId::start(),
            number: 1,
            timestamp: Timestamp(1),
            span: None,
            produced,
            context: mine.map(Bytes::from_static),
        };
        AttemptWithBase { report, base: Bytes::from_static(base), saw: None, input: None }
    }

    fn failed(error: &Error) -> EncodedOutcome {
        let attempt = AttemptId {
            incarnation: Incarnation::default(),
            item: ItemId::start(),
            node: String::new(),
            number: 1,
        };
        EncodedOutcome::Failed(attempt.error(error))
    }

    fn next() -> EncodedOutcome {
        EncodedOutcome::Next(jetway_state::run::EncodedEmission::default())
    }

    #[test]
    fn an_unchanged_context_needs_no_rebase() {
        let same = attempt(next(), b"a", Some(b"b"));
        let rebased = same.rebased(&Bytes::from_static(b"a"), |_, _, _| Err(Error::NoOutput), failed);
        assert_eq!(rebased, Some(same.report));
    }

    #[test]
    fn a_held_branch_runs_again_on_another_context() {
        let held = attempt(EncodedOutcome::Hold, b"a", None);
        assert_eq!(held.rebased(&Bytes::from_static(b"c"), |_, _, _| Err(Error::NoOutput), failed), None);
    }

    #[test]
    fn an_attempt_that_cannot_be_rebased_fails() {
        let changed = attempt(next(), b"a", Some(b"b"));
        let failed =
            changed.rebased(&Bytes::from_static(b"c"), |_, _, _| Err(Error::NoOutput), failed).unwrap();
        assert!(matches!(failed.produced, EncodedOutcome::Failed(error) if error.kind == "no_output"));
        assert_eq!(failed.context, None);
    }

    #[test]
    fn counters_keep_the_additions_of_both() {
        let encode = |value: i64| codec::encode(&Counter::new(value), "a counter").unwrap();
        let rebased = rebase_context::<Counter>(&encode(1), &encode(4), &encode(10)).unwrap();
        assert_eq!(codec::decode::<Counter>(&rebased, "a counter").unwrap(), Counter::new(13));
    }
}
