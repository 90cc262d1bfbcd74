//! Which result of a run id is kept.

use crate::{Incarnation, StartMessage};

/// What identifies the result of a run, beside its run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultVersion {
    /// The incarnation of the run.
    pub incarnation: Incarnation,
    /// The revision of the snapshot that ended the run. 0: there is no such snapshot, since the start was refused.
    pub revision: u64,
}

impl ResultVersion {
    /// Whether this result replaces the stored one of the same run id. `stored` is `None` if the stored message is no result.
    /// `record` is the incarnation of the current record, `None` if there is no record.
    ///
    /// The record decides as long as there is one: a host that was slow must not replace the result of the run that came after.
    /// Without a record, the later revision does. No clock takes part.
    pub fn replaces(self, stored: Option<Self>, record: Option<Incarnation>) -> bool {
        let Some(stored) = stored else { return true };
        if stored.incarnation == self.incarnation {
            return false;
        }
        match record {
            Some(current) => current == self.incarnation,
            // The answer to a refused start replaces another such answer, and no result.
            None => self.revision > stored.revision || (self.revision, stored.revision) == (0, 0),
        }
    }
}

/// Which result of a run id somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedResult {
    /// That of this incarnation.
    Of(Incarnation),
    /// The latest: that of the current record, or the stored one if there is no record.
    Latest,
    /// That of the run that this start message made or joined, or the refusal of the message. As long as the message waits for a
    /// host, whatever is there of the run id belongs to another start.
    New(StartMessage),
}

impl WantedResult {
    /// Whether it can be the result of this incarnation. `None`: the message names no incarnation, so it is no result.
    pub fn accepts(self, incarnation: Option<Incarnation>) -> bool {
        match self {
            Self::Of(wanted) => incarnation == Some(wanted),
            Self::Latest => incarnation.is_some(),
            Self::New(start) => incarnation.and_then(|found| found.refused_start()) == Some(start.start_id),
        }
    }

    /// The start message, if it has to be known first whether a host has taken it.
    pub fn unsettled_start(self) -> Option<StartMessage> {
        match self {
            Self::New(start) => Some(start),
            Self::Of(_) | Self::Latest => None,
        }
    }

    /// What is wanted once the start message is known to be settled, and not refused: the run id has a run that the message made
    /// or joined.
    #[must_use]
    pub fn settled(self) -> Self {
        match self {
            Self::New(_) => Self::Latest,
            other => other,
        }
    }

    /// What is wanted once a result of `stored` and the incarnation of the current record are known.
    #[must_use]
    pub fn given(self, stored: Incarnation, record: Option<Incarnation>) -> Self {
        match self {
            Self::Latest => Self::Of(record.unwrap_or(stored)),
            Self::Of(_) | Self::New(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StartId;

    #[test]
    fn a_stored_result_counts_as_the_record_says() {
        let [old, new] = [1, 2].map(Incarnation::from_random);
        for (wanted, record, expected) in [
            (WantedResult::Latest, None, WantedResult::Of(old)),
            (WantedResult::Latest, Some(new), WantedResult::Of(new)),
            (WantedResult::Of(new), Some(old), WantedResult::Of(new)),
        ] {
            assert_eq!(wanted.given(old, record), expected, "{wanted:?} {record:?}");
        }
        assert!(!WantedResult::Latest.accepts(None));
    }

    #[test]
    fn u11_a_waiting_start_has_no_result_but_its_refusal() {
        let [mine, other] = [7, 8].map(StartId::from_random);
        let run = Incarnation::from_random(1);
        let wanted = WantedResult::New(StartMessage { sequence: 1, start_id: mine });
        for record in [None, Some(run)] {
            assert_eq!(wanted.given(run, record), wanted);
        }
        assert!(!wanted.accepts(Some(run)) && !wanted.accepts(None));
        assert!(wanted.accepts(Some(Incarnation::of_refused_start(mine))));
        assert!(!wanted.accepts(Some(Incarnation::of_refused_start(other))));
        assert_eq!(wanted.settled().given(run, None), WantedResult::Of(run));
    }

    #[test]
    fn the_record_decides_and_then_the_revision() {
        let [a, b, c] = [1, 2, 3].map(Incarnation::from_random);
        let version = |incarnation, revision| ResultVersion { incarnation, revision };
        for (new, stored, record, replaces) in [
            (version(a, 1), None, None, true),
            (version(a, 9), Some(version(a, 1)), Some(a), false),
            (version(a, 9), Some(version(a, 1)), None, false),
            (version(b, 5), Some(version(a, 9)), Some(b), true),
            (version(b, 5), Some(version(a, 1)), Some(a), false),
            (version(b, 5), Some(version(a, 1)), Some(c), false),
            (version(b, 5), Some(version(a, 1)), None, true),
            (version(b, 1), Some(version(a, 5)), None, false),
            (version(b, 0), Some(version(a, 5)), None, false),
            (version(b, 0), Some(version(a, 0)), None, true),
            (version(b, 1), Some(version(a, 0)), None, true),
        ] {
            assert_eq!(new.replaces(stored, record), replaces, "{new:?} {stored:?} {record:?}");
        }
    }
}
