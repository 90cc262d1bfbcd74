//! The table: every fail point, the state after a host has died there, and what repairs it.

use super::scenario::Scenario;
use jetway_engine::fail_point::FailPoint;

/// A host dies at a fail point, in the scenario that reaches it.
pub(super) struct Case {
    pub(super) point: FailPoint,
    pub(super) scenario: Scenario,
    /// The maximum number of attempts that are discarded with one death.
    pub(super) wasted: u64,
    /// The state after the death.
    pub(super) state: &'static str,
    /// What repairs it.
    pub(super) repair: &'static str,
}

const fn case(
    point: FailPoint,
    scenario: Scenario,
    wasted: u64,
    state: &'static str,
    repair: &'static str,
) -> Case {
    Case { point, scenario, wasted, state, repair }
}

const START_AGAIN: &str = "the start message is delivered again";
const START_JOINS: &str = "the start message is delivered again, and the run exists already";
const TICKET_AGAIN: &str = "the ticket is delivered again";
const RUN_AGAIN: &str = "the ticket is delivered again, and the node runs again";
const GO_ON: &str =
    "the ticket is delivered again: its item is done, so the items that it created get tickets";
const END_AGAIN: &str =
    "the ticket is delivered again: the run has ended, so the effects of its end are repeated";
const SIGNAL_APPLIED: &str = "the signal is delivered again, and is applied already";
const SWEEP_ENDS: &str = "the sweep, or a second cancel command, repeats the effects of the end";
const SWEEP_AGAIN: &str = "the next sweep, of any host";

use FailPoint as At;

pub(super) const CASES: &[Case] = &[
    case(At::StartTaken, Scenario::Chain, 0, "there is no run", START_AGAIN),
    case(At::StartCreated, Scenario::Chain, 0, "the run exists, its first item has no ticket", START_JOINS),
    case(
        At::StartTicketed,
        Scenario::Chain,
        1,
        "the run is running, its start message is not acked",
        START_JOINS,
    ),
    case(
        At::StartUnsettled,
        Scenario::Chain,
        1,
        "the run is running, its start message is not acked",
        START_JOINS,
    ),
    case(At::StartSettled, Scenario::Chain, 1, "the run is running", "nothing to repair"),
    case(
        At::SignalTaken,
        Scenario::Signal,
        0,
        "the run waits, its signal is not applied",
        "the signal is delivered again",
    ),
    case(
        At::SignalsApplied,
        Scenario::Signal,
        0,
        "the signal is applied, the item that got it has no ticket",
        "the signal is delivered again: it is applied already, so its item gets a ticket",
    ),
    case(
        At::SignalPutOff,
        Scenario::Early,
        0,
        "there is no run, its signal is stored in two places",
        "the signal is delivered again, from both places, and the run takes it once",
    ),
    case(
        At::SignalUnsettled,
        Scenario::Signal,
        1,
        "the run has its signal, the message is not acked",
        SIGNAL_APPLIED,
    ),
    case(At::SignalSettled, Scenario::Signal, 1, "the run has its signal", "nothing to repair"),
    case(At::TicketTaken, Scenario::Chain, 0, "nothing has changed", TICKET_AGAIN),
    case(At::SnapshotLoaded, Scenario::Chain, 0, "nothing has changed", TICKET_AGAIN),
    case(
        At::NodeRun,
        Scenario::Chain,
        1,
        "nothing has changed except the side effects of the node",
        RUN_AGAIN,
    ),
    case(
        At::ChunksWritten,
        Scenario::Wide,
        1,
        "nothing has changed; no snapshot names the chunks",
        RUN_AGAIN,
    ),
    case(
        At::SnapshotUnsent,
        Scenario::Chain,
        1,
        "nothing has changed except the side effects of the node",
        RUN_AGAIN,
    ),
    case(
        At::SnapshotUnanswered,
        Scenario::Chain,
        0,
        "the step is committed, but its host got no answer",
        GO_ON,
    ),
    case(
        At::Committed,
        Scenario::Chain,
        0,
        "the step is committed, the items that it created have no tickets",
        GO_ON,
    ),
    case(
        At::ContinuedAsNew,
        Scenario::Rounds,
        0,
        "the run has continued as new, its first item has no ticket",
        "the ticket of the former incarnation is delivered again, and the missing ticket published",
    ),
    case(
        At::TicketPublished,
        Scenario::Fan,
        4,
        "the step is committed, one branch of four has a ticket",
        GO_ON,
    ),
    case(At::TicketsPublished, Scenario::Fan, 4, "the step is committed, all branches have tickets", GO_ON),
    case(
        At::AlarmArmed,
        Scenario::Sleep,
        0,
        "the step is committed, its alarm is armed",
        "the ticket is delivered again: its item is done, so the alarm is armed again",
    ),
    case(
        At::ItemsWoken,
        Scenario::Signal,
        1,
        "the signal is applied, the item that got it has its ticket",
        SIGNAL_APPLIED,
    ),
    case(
        At::UntakenReported,
        Scenario::Untaken,
        0,
        "the run has ended, the signal that no step has taken is a dead letter, there is no result",
        END_AGAIN,
    ),
    case(
        At::ChunksDropped,
        Scenario::Wide,
        1,
        "the join is committed, the chunks of its branches are removed",
        GO_ON,
    ),
    case(At::TicketUnsettled, Scenario::Chain, 0, "all is done, the ticket is not acked", END_AGAIN),
    case(At::TicketSettled, Scenario::Chain, 0, "all is done, the run has ended", "nothing to repair"),
    case(At::RunEnded, Scenario::Chain, 0, "the run has ended, it has no result", END_AGAIN),
    case(At::ResultPublished, Scenario::Chain, 0, "the run has ended, it has its result", END_AGAIN),
    case(
        At::ChildRecorded,
        Scenario::Children,
        2,
        "the parent's snapshot names a child run that does not exist",
        "the parent's ticket is delivered again, and the child is started",
    ),
    case(
        At::ChildCreated,
        Scenario::Children,
        2,
        "the child run exists, its first item has no ticket",
        "the parent's ticket is delivered again, and the child's ticket published",
    ),
    case(
        At::ChildStarted,
        Scenario::Detach,
        2,
        "the parent has ended, its detached child is started, the parent's record says that it has to be",
        END_AGAIN,
    ),
    case(
        At::IntentsClosed,
        Scenario::Detach,
        2,
        "the parent has ended, its detached child is started, there is no result",
        END_AGAIN,
    ),
    case(At::ParentWoken, Scenario::Children, 2, "the child has ended, its parent has a ticket", END_AGAIN),
    case(At::ChildCancelled, Scenario::Cancel, 2, "parent and child are cancelled", SWEEP_ENDS),
    case(
        At::CancelCommitted,
        Scenario::Cancel,
        2,
        "the parent is cancelled, its child is running",
        SWEEP_ENDS,
    ),
    case(
        At::DeadlineCommitted,
        Scenario::Late,
        0,
        "the run has failed at its deadline, it has no result",
        END_AGAIN,
    ),
    case(
        At::HostsTold,
        Scenario::CleanUp,
        1,
        "the run is cancelling, its item that waited has no ticket",
        "the sweep, or a second cancel command",
    ),
    case(
        At::TerminateCommitted,
        Scenario::Terminate,
        2,
        "the parent is cancelled, its child is running",
        SWEEP_ENDS,
    ),
    case(At::PauseCommitted, Scenario::Pause, 1, "the run is paused", "nothing to repair"),
    case(
        At::ResumeCommitted,
        Scenario::Resume,
        1,
        "the run is resumed, its items have no tickets",
        "the sweep, or a second resume command",
    ),
    case(At::SweepFound, Scenario::Sweep, 4, "the sweep has found four items without a ticket", SWEEP_AGAIN),
    case(At::SweepPublished, Scenario::Sweep, 4, "one of four items has its ticket again", SWEEP_AGAIN),
    case(At::SweepMended, Scenario::Sweep, 4, "all items have their tickets again", "nothing to repair"),
];
