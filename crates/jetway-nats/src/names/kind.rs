//! The kinds of subjects of a namespace: the token that follows the namespace.

/// A kind of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Start messages.
    Start,
    /// Tickets.
    Work,
    /// Alarms.
    Timer,
    /// Wake-ups, which the server publishes.
    Wake,
    /// Signals.
    Signal,
    /// Signals that were put off and come again.
    SignalAgain,
    /// Signals that are put off.
    Later,
    /// Results.
    Done,
    /// Dead letters.
    Dead,
    /// Work items of stores.
    Item,
    /// Events, which nobody keeps.
    Event,
    /// Requests.
    Api,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Start,
        Self::Work,
        Self::Timer,
        Self::Wake,
        Self::Signal,
        Self::SignalAgain,
        Self::Later,
        Self::Done,
        Self::Dead,
        Self::Item,
        Self::Event,
        Self::Api,
    ];

    /// The kind in the subject.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Work => "work",
            Self::Timer => "timer",
            Self::Wake => "wake",
            Self::Signal | Self::SignalAgain => "signal",
            Self::Later => "later",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Item => "item",
            Self::Event => "event",
            Self::Api => "api",
        }
    }
}
