//! The table: every fail point, what is true when a host dies there, and who mends it.

use super::play::Play;
use jetway_engine::fail_point::FailPoint;

/// A host dies at a fail point, while it plays something that reaches it.
pub(super) struct Case {
    pub(super) point: FailPoint,
    pub(super) play: Play,
    /// How many attempts at most come to nothing with one death.
    pub(super) in_vain: u64,
    /// What is true then.
    pub(super) truth: &'static str,
    /// Who makes it good.
    pub(super) mends: &'static str,
}

const fn case(point: FailPoint, play: Play, in_vain: u64, truth: &'static str, mends: &'static str) -> Case {
    Case { point, play, in_vain, truth, mends }
}

const START_AGAIN: &str = "the start message is delivered again";
const START_JOINS: &str = "the start message is delivered again, and gives the same run";
const TICKET_AGAIN: &str = "the ticket is delivered again";
const RUN_AGAIN: &str = "the ticket is delivered again, and the node runs again";
const GO_ON: &str = "the ticket is delivered again: its item is done, so what it begot gets tickets";
const END_AGAIN: &str =
    "the ticket is delivered again: the run has ended, so what its end asks for is done again";
const SWEEP_ENDS: &str =
    "the sweep does what the end of a cancelled run asks for again, and so does telling it again";
const SWEEP_AGAIN: &str = "the next sweep, of any host";

use FailPoint as At;

pub(super) const CASES: &[Case] = &[
    case(At::StartTaken, Play::Chain, 0, "there is no run", START_AGAIN),
    case(At::StartCreated, Play::Chain, 0, "the run exists, its first item has no ticket", START_JOINS),
    case(At::StartTicketed, Play::Chain, 1, "the run goes on, its start is not acknowledged", START_JOINS),
    case(At::StartUnsettled, Play::Chain, 1, "the run goes on, its start is not acknowledged", START_JOINS),
    case(At::StartSettled, Play::Chain, 1, "the run goes on", "nobody has to"),
    case(At::TicketTaken, Play::Chain, 0, "nothing has changed", TICKET_AGAIN),
    case(At::SnapshotLoaded, Play::Chain, 0, "nothing has changed", TICKET_AGAIN),
    case(At::NodeRun, Play::Chain, 1, "nothing has changed but what the node did outside", RUN_AGAIN),
    case(At::ChunksWritten, Play::Wide, 1, "nothing has changed; no snapshot names the chunks", RUN_AGAIN),
    case(At::SnapshotUnsent, Play::Chain, 1, "nothing has changed but what the node did outside", RUN_AGAIN),
    case(At::SnapshotUnanswered, Play::Chain, 0, "the step is committed, and nobody has heard of it", GO_ON),
    case(At::Committed, Play::Chain, 0, "the step is committed, what it begot has no ticket", GO_ON),
    case(At::TicketPublished, Play::Fan, 4, "the step is committed, one branch of four has a ticket", GO_ON),
    case(At::TicketsPublished, Play::Fan, 4, "the step is committed, all branches have tickets", GO_ON),
    case(
        At::ChunksDropped,
        Play::Wide,
        1,
        "the join is committed, the chunks of its branches are gone",
        GO_ON,
    ),
    case(At::TicketUnsettled, Play::Chain, 0, "all is done, and the ticket is there", END_AGAIN),
    case(At::TicketSettled, Play::Chain, 0, "all is done: the run has ended", "nobody has to"),
    case(At::RunEnded, Play::Chain, 0, "the run has ended, it has no result", END_AGAIN),
    case(At::ResultPublished, Play::Chain, 0, "the run has ended, it has its result", END_AGAIN),
    case(
        At::ChildRecorded,
        Play::Children,
        2,
        "the parent's record names a child run that is not there",
        "the parent's ticket is delivered again, and the child is started",
    ),
    case(
        At::ChildCreated,
        Play::Children,
        2,
        "the child run exists, its first item has no ticket",
        "the parent's ticket is delivered again, and the child's ticket published",
    ),
    case(At::ParentWoken, Play::Children, 2, "the child has ended, its parent has a ticket", END_AGAIN),
    case(At::ChildCancelled, Play::Cancel, 2, "parent and child are cancelled", SWEEP_ENDS),
    case(At::CancelCommitted, Play::Cancel, 2, "the parent is cancelled, its child goes on", SWEEP_ENDS),
    case(At::PauseCommitted, Play::Pause, 1, "the run is paused", "nobody has to"),
    case(
        At::ResumeCommitted,
        Play::Resume,
        1,
        "the run is to go on, its items have no tickets",
        "the sweep, or whoever tells it again",
    ),
    case(At::SweepFound, Play::Sweep, 4, "four items are known to have lost their tickets", SWEEP_AGAIN),
    case(At::SweepPublished, Play::Sweep, 4, "one of four items has its ticket again", SWEEP_AGAIN),
    case(At::SweepMended, Play::Sweep, 4, "all items have their tickets again", "nobody has to"),
];
