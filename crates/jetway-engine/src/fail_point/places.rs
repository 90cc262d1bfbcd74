//! The places, by name.

use std::{fmt, str::FromStr};

/// A name that is not one of those that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {name:?}; there are {known}")]
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
        /// A start message is taken, nothing is done about it.
        StartTaken = "start-taken",
        /// The first snapshot of a run is written, its first ticket is not published.
        StartCreated = "start-created",
        /// The first ticket of a run is published.
        StartTicketed = "start-ticketed",
        /// All is done about a start message, and it is not settled.
        StartUnsettled = "start-unsettled",
        /// A start message is settled.
        StartSettled = "start-settled",
        /// A ticket is taken, nothing is done about it.
        TicketTaken = "ticket-taken",
        /// The snapshot that a ticket is about is loaded.
        SnapshotLoaded = "snapshot-loaded",
        /// A node has run, what came of it is in memory.
        NodeRun = "node-run",
        /// The chunks of a commit are written, the snapshot that names them is not.
        ChunksWritten = "chunks-written",
        /// The snapshot of a commit is about to be sent.
        SnapshotUnsent = "snapshot-unsent",
        /// The server has answered to the snapshot of a commit, and nobody has read the answer.
        SnapshotUnanswered = "snapshot-unanswered",
        /// A step is committed, and nothing is done about its effects.
        Committed = "committed",
        /// One ticket of those that a commit asks for is published.
        TicketPublished = "ticket-published",
        /// All tickets that a commit asks for are published, other effects are not carried out.
        TicketsPublished = "tickets-published",
        /// Chunks that nothing names any more are removed.
        ChunksDropped = "chunks-dropped",
        /// All is done about a ticket, and it is not settled.
        TicketUnsettled = "ticket-unsettled",
        /// A ticket is settled.
        TicketSettled = "ticket-settled",
        /// A step that ends its run is committed, its result is not published.
        RunEnded = "run-ended",
        /// The result of a run is published.
        ResultPublished = "result-published",
        /// A child run is recorded in its parent's snapshot, and not there yet.
        ChildRecorded = "child-recorded",
        /// The first snapshot of a child run is written, its first ticket is not published.
        ChildCreated = "child-created",
        /// The parent of a run that has ended is told.
        ParentWoken = "parent-woken",
        /// A child run that nobody waits for any more is cancelled.
        ChildCancelled = "child-cancelled",
        /// A run is cancelled, nothing is done about the effects.
        CancelCommitted = "cancel-committed",
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
