//! The phases of a verification.

use crate::nemesis::Fault::{
    self, Cut, Delay, DuplicateTickets, Hold, KillHost, KillServer, PauseHost, PauseServer, RemoveTickets,
};
use std::time::Duration;

/// A part of a verification: runs for some time, under some kinds of faults.
#[derive(Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// A kind that is listed twice is injected twice as often.
    pub(crate) faults: &'static [Fault],
    pub(crate) duration: Duration,
    /// Whether the machines of the hosts have wrong clocks.
    pub(crate) wrong_clocks: bool,
}

/// From no faults to all of them, so that the first phase that fails shows which kind of fault is the cause. The last
/// phase is repeated until the time is up.
pub(crate) const PHASES: [Phase; 6] = [
    Phase { name: "calm", faults: &[], duration: Duration::from_secs(5), wrong_clocks: false },
    Phase {
        name: "hosts",
        faults: &[KillHost, KillHost, PauseHost, Cut, Hold, Delay],
        duration: Duration::from_secs(20),
        wrong_clocks: false,
    },
    Phase {
        name: "tickets",
        faults: &[RemoveTickets, DuplicateTickets, DuplicateTickets, KillHost],
        duration: Duration::from_secs(12),
        wrong_clocks: false,
    },
    Phase {
        name: "server",
        faults: &[KillServer, PauseServer],
        duration: Duration::from_secs(15),
        wrong_clocks: false,
    },
    Phase {
        name: "clocks",
        faults: &[KillHost, PauseHost, RemoveTickets, DuplicateTickets],
        duration: Duration::from_secs(15),
        wrong_clocks: true,
    },
    Phase {
        name: "everything",
        faults: &[
            KillHost,
            KillHost,
            PauseHost,
            Cut,
            Hold,
            Delay,
            RemoveTickets,
            DuplicateTickets,
            KillServer,
            PauseServer,
        ],
        duration: Duration::from_secs(30),
        wrong_clocks: false,
    },
];

/// The names of the phases, from no faults to all of them.
pub fn phases() -> impl Iterator<Item = &'static str> {
    PHASES.iter().map(|phase| phase.name)
}
