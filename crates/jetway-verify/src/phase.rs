//! The phases of a verification.

use crate::nemesis::Fault::{
    self, Cut, Delay, DeleteAlarmStream, DuplicateTickets, Hold, KillHost, KillServer, PauseHost,
    PauseServer, RemoveAlarms, RemoveTickets,
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
    /// Whether runs are started under ids that were used before.
    pub(crate) used_ids: bool,
}

impl Phase {
    const fn new(name: &'static str, seconds: u64, faults: &'static [Fault]) -> Self {
        let duration = Duration::from_secs(seconds);
        Self { name, faults, duration, wrong_clocks: false, used_ids: false }
    }
}

/// From no faults to all of them, so that the first phase that fails shows which kind of fault is the cause. The last
/// phase is repeated until the time is up.
pub(crate) const PHASES: [Phase; 7] = [
    Phase::new("calm", 5, &[]),
    Phase::new("hosts", 20, &[KillHost, KillHost, PauseHost, Cut, Hold, Delay]),
    Phase::new(
        "tickets",
        15,
        &[
            RemoveTickets,
            RemoveTickets,
            RemoveAlarms,
            RemoveAlarms,
            DeleteAlarmStream,
            DuplicateTickets,
            DuplicateTickets,
            DuplicateTickets,
            KillHost,
            KillHost,
        ],
    ),
    Phase::new("server", 15, &[KillServer, PauseServer]),
    Phase {
        wrong_clocks: true,
        ..Phase::new("clocks", 15, &[KillHost, PauseHost, RemoveTickets, RemoveAlarms, DuplicateTickets])
    },
    Phase {
        used_ids: true,
        ..Phase::new(
            "used-ids",
            20,
            &[
                KillHost,
                PauseHost,
                PauseHost,
                Cut,
                Hold,
                RemoveTickets,
                RemoveAlarms,
                DuplicateTickets,
                DuplicateTickets,
            ],
        )
    },
    Phase::new(
        "everything",
        30,
        &[
            KillHost,
            KillHost,
            PauseHost,
            Cut,
            Hold,
            Delay,
            RemoveTickets,
            RemoveAlarms,
            DuplicateTickets,
            KillServer,
            PauseServer,
        ],
    ),
];

/// The names of the phases, from no faults to all of them.
pub fn phases() -> impl Iterator<Item = &'static str> {
    PHASES.iter().map(|phase| phase.name)
}
