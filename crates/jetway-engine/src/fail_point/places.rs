//! The fail points, by name.

use std::{fmt, str::FromStr};

/// An unknown name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {name:?}; use one of {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: String,
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$place_doc:meta])* $place:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$place_doc])* $place,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$place),+];

            /// The name in the environment.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$place => $name,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|place| place.as_str() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    known: Self::ALL.iter().map(|place| place.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

named! {
    /// A place between two operations.
    FailPoint, "fail point" {
        /// A start message is received, nothing is done.
        StartTaken = "start-taken",
        /// The first snapshot of a run is written, its first ticket is not published.
        StartCreated = "start-created",
        /// The first ticket of a run is published.
        StartTicketed = "start-ticketed",
        /// A start message is processed and not acked.
        StartUnsettled = "start-unsettled",
        /// A start message is acked.
        StartSettled = "start-settled",
        /// A signal is received, nothing is done.
        SignalTaken = "signal-taken",
        /// Signals are applied to their run, their effects are open.
        SignalsApplied = "signals-applied",
        /// A signal to an unknown run is stored in another place, and not acked.
        SignalPutOff = "signal-put-off",
        /// A signal is processed and not acked.
        SignalUnsettled = "signal-unsettled",
        /// A signal is acked.
        SignalSettled = "signal-settled",
        /// A ticket is received, nothing is done.
        TicketTaken = "ticket-taken",
        /// The snapshot for a ticket is loaded.
        SnapshotLoaded = "snapshot-loaded",
        /// A node has run, its outcome is in memory.
        NodeRun = "node-run",
        /// The chunks of a commit are written, its snapshot is not.
        ChunksWritten = "chunks-written",
        /// The snapshot of a commit is about to be sent.
        SnapshotUnsent = "snapshot-unsent",
        /// The server has answered the write of a snapshot, and the answer is not read.
        SnapshotUnanswered = "snapshot-unanswered",
        /// A step is committed, its tickets and effects are open.
        Committed = "committed",
        /// A run has continued as new, its first ticket is not published.
        ContinuedAsNew = "continued-as-new",
        /// One ticket of a commit is published.
        TicketPublished = "ticket-published",
        /// All tickets of a commit are published, its effects are open.
        TicketsPublished = "tickets-published",
        /// The alarm of a run is armed.
        AlarmArmed = "alarm-armed",
        /// The items that have got their signals have tickets.
        ItemsWoken = "items-woken",
        /// The signals that no step of an ended run has taken are dead letters.
        UntakenReported = "untaken-reported",
        /// Chunks that nothing refers to any more are deleted.
        ChunksDropped = "chunks-dropped",
        /// A ticket is processed and not acked.
        TicketUnsettled = "ticket-unsettled",
        /// A ticket is acked.
        TicketSettled = "ticket-settled",
        /// A step that ends its run is committed, its result is not published.
        RunEnded = "run-ended",
        /// The result of a run is published.
        ResultPublished = "result-published",
        /// A child run is recorded in the snapshot of its parent, and does not exist.
        ChildRecorded = "child-recorded",
        /// The first snapshot of a child run is written, its first ticket is not published.
        ChildCreated = "child-created",
        /// A detached child run is started, the record of its parent has the intent still.
        ChildStarted = "child-started",
        /// The record of a run is written without what it has done to its child runs.
        IntentsClosed = "intents-closed",
        /// The parent of a run that has ended has its ticket.
        ParentWoken = "parent-woken",
        /// A child run that no item waits for any more is cancelled.
        ChildCancelled = "child-cancelled",
        /// A run is cancelled, or its clean-up begins. The effects are open.
        CancelCommitted = "cancel-committed",
        /// A run is ended at its deadline, or at the limit of its clean-up. The effects are open.
        DeadlineCommitted = "deadline-committed",
        /// All hosts are told that a run is cancelled, its other effects are open.
        HostsTold = "hosts-told",
        /// A run is terminated, its effects are open.
        TerminateCommitted = "terminate-committed",
        /// A run is paused.
        PauseCommitted = "pause-committed",
        /// A run is resumed, its tickets are not published.
        ResumeCommitted = "resume-committed",
        /// The sweep has found items without a ticket.
        SweepFound = "sweep-found",
        /// The sweep has published one of the tickets of a run again.
        SweepPublished = "sweep-published",
        /// The sweep has published all tickets of a run again.
        SweepMended = "sweep-mended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for point in FailPoint::ALL {
            assert_eq!(point.as_str().parse(), Ok(*point));
        }
        let unknown = "comitted".parse::<FailPoint>().unwrap_err().to_string();
        assert!(unknown.contains("\"comitted\"") && unknown.contains(", committed,"), "{unknown}");
    }
}
