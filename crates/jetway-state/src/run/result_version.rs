//! Which result of a run id is kept.

use crate::Incarnation;

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
    /// That of the start message with this sequence, whose incarnation is not known: a stored result without a record belongs
    /// to an earlier run, unless it says that this message was refused.
    New(u64),
    /// The same, and it is not that of this incarnation.
    NotOf(Incarnation, u64),
}

/// Whether a result can be the answer to the start message with this sequence.
fn is_for(incarnation: Incarnation, start: u64) -> bool {
    !incarnation.is_of_refused_start() || incarnation == Incarnation::of_refused_start(start)
}

impl WantedResult {
    /// Whether it can be the result of this incarnation. `None`: the message names no incarnation, so it is no result.
    pub fn accepts(self, incarnation: Option<Incarnation>) -> bool {
        match self {
            Self::Of(wanted) => incarnation == Some(wanted),
            Self::NotOf(other, start) => {
                incarnation.is_some_and(|incarnation| incarnation != other && is_for(incarnation, start))
            }
            Self::Latest => incarnation.is_some(),
            Self::New(start) => incarnation.is_some_and(|incarnation| is_for(incarnation, start)),
        }
    }

    /// Whether a result, stored or just published, has to be compared with the current record: it may be the late one of an
    /// earlier run.
    pub fn needs_record(self) -> bool {
        !matches!(self, Self::Of(_))
    }

    /// What is wanted once a result of `stored` and the incarnation of the current record are known.
    #[must_use]
    pub fn given(self, stored: Incarnation, record: Option<Incarnation>) -> Self {
        match (self, record) {
            (Self::Of(_), _) | (Self::NotOf(..), None) => self,
            (Self::New(start) | Self::NotOf(_, start), _)
                if stored == Incarnation::of_refused_start(start) =>
            {
                Self::Of(stored)
            }
            (Self::Latest | Self::New(_) | Self::NotOf(..), Some(current)) => Self::Of(current),
            (Self::Latest, None) => Self::Of(stored),
            (Self::New(start), None) => Self::NotOf(stored, start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_result_counts_as_the_record_says() {
        let [old, new] = [1, 2].map(Incarnation::from_random);
        for (wanted, record, expected) in [
            (WantedResult::Latest, None, WantedResult::Of(old)),
            (WantedResult::Latest, Some(new), WantedResult::Of(new)),
            (WantedResult::New(7), None, WantedResult::NotOf(old, 7)),
            (WantedResult::New(7), Some(old), WantedResult::Of(old)),
            (WantedResult::Of(new), Some(old), WantedResult::Of(new)),
            (WantedResult::NotOf(new, 7), None, WantedResult::NotOf(new, 7)),
            (WantedResult::NotOf(old, 7), Some(new), WantedResult::Of(new)),
        ] {
            assert_eq!(wanted.given(old, record), expected, "{wanted:?} {record:?}");
        }
        let other = WantedResult::NotOf(old, 7);
        assert!(!other.accepts(Some(old)) && other.accepts(Some(new)));
        assert!(!WantedResult::Latest.accepts(None));
        let refused = Incarnation::of_refused_start(7);
        assert_eq!(WantedResult::New(7).given(refused, None), WantedResult::Of(refused));
        assert_eq!(WantedResult::New(8).given(refused, None), WantedResult::NotOf(refused, 8));
        // Another sender's message was refused meanwhile.
        let another = Some(Incarnation::of_refused_start(6));
        assert!(other.accepts(Some(refused)) && !other.accepts(another));
        assert!(WantedResult::New(7).accepts(Some(refused)) && !WantedResult::New(7).accepts(another));
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
