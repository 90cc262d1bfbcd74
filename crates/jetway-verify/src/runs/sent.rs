//! The signals that the driver has sent, and what it was told about them.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a message, which a host applies later.
    Message,
    /// As a request, which a host answers.
    Request,
}

/// What is wrong with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its payload is of another type.
    Payload,
    /// No node waits for its name.
    Name,
}

impl Flaw {
    /// Why a run does not take the signal.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Payload => "bad_payload",
            Self::Name => "unknown_signal",
        }
    }
}

/// When a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before its run is started.
    Before,
    /// While its run may be running.
    During,
    /// When the result of its run is known.
    After,
}

/// What the sender was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing, or an error that says nothing about the signal.
    Unknown,
    /// The server has stored the message.
    Stored,
    /// The run has the signal.
    Accepted,
    /// The run does not take it, for this reason.
    Refused(String),
}

/// One call that sends a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The run.
    pub(crate) run: String,
    /// The number in the payload. Calls with one number are one signal, with one id.
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) way: Way,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) moment: Moment,
    /// When it was sent, in the order of all calls.
    pub(crate) began: u64,
    /// When the answer was there, in the same order.
    pub(crate) answered: Option<u64>,
    pub(crate) fate: Fate,
}

/// The signals of a phase.
#[derive(Debug, Default)]
pub(crate) struct SentSignals {
    sent: Mutex<Vec<Sent>>,
    clock: AtomicU64,
    numbers: AtomicU64,
}

impl SentSignals {
    /// A number for a signal.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    /// The next moment in the order of all calls.
    pub(crate) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }

    /// A call begins. Returns its place.
    pub(crate) fn begin(&self, sent: Sent) -> usize {
        let mut all = self.lock();
        all.push(sent);
        all.len() - 1
    }

    /// A call has ended.
    pub(crate) fn answer(&self, place: usize, fate: Fate) {
        let answered = Some(self.tick());
        if let Some(sent) = self.lock().get_mut(place) {
            (sent.fate, sent.answered) = (fate, answered);
        }
    }

    /// All calls.
    pub(crate) fn all(&self) -> Vec<Sent> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
