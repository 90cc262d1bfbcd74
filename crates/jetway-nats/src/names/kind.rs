//! The kinds of subjects of a namespace: the token that follows the namespace.

/// A kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Start messages.
    Start,
    /// Tickets.
    Work,
    /// Results.
    Done,
    /// Dead letters.
    Dead,
    /// Work items of stores.
    Item,
    /// Requests.
    Api,
    // Signals are another kind, of starters too.
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Start, Self::Work, Self::Done, Self::Dead, Self::Item, Self::Api];

    /// The kind in the subject.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Work => "work",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Item => "item",
            Self::Api => "api",
        }
    }
}
