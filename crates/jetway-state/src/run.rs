//! The rules of the engine: the record of a run, which is its snapshot, and how it changes.
//!
//! Every function is a pure function of its arguments: no I/O, no clock, no randomness. The rest of Jetway carries out
//! what these functions decide.
//!
//! ```text
//! begin(input)                      -> snapshot, first ticket; or none yet: the run starts later
//! apply(snapshot, attempt)          -> snapshot', tickets, effects; or the attempt is discarded
//! control::cancel, pause, ..(snapshot) -> snapshot', tickets, effects; or the status does not allow it
//! tickets_under(snapshot, ticket)   -> the tickets that a crashed worker may not have published
//! end_overdue(snapshot, now)        -> snapshot', effects: the deadline of the run, or the limit of its clean-up, has passed
//! retry_items(snapshot, item)       -> snapshot', tickets, effects; or nothing waits for a person
//! deliver(snapshot, signals)        -> snapshot', effects, and what becomes of each signal
//! close_intents(snapshot, done)     -> snapshot' without what was done to child runs
//! mark_unreadable(snapshot, item)   -> snapshot' with a marker: a build cannot read the item
//! offload(snapshot, commit, limits) -> the payloads that do not fit, as chunks beside the snapshot
//! ```
//!
//! | attempt ended in | run Running, item pending | anything else |
//! |---|---|---|
//! | `Next`, one successor | the item is replaced by its successor | discarded |
//! | `Next`, several; `NextAll` | the item is replaced by a fan-out | discarded |
//! | `Next` to a gathering node | the value arrives; the last open branch makes the node ready | discarded |
//! | an output | the output is recorded; the branch ends | discarded |
//! | `NextLater` | as `Next`; what it creates waits for a time | discarded |
//! | `Retry` | the item stays pending, and waits for its next attempt, or for a person | discarded |
//! | `WaitFor` | the item stays pending, and waits for signals | discarded |
//! | `Hold` | the branch ends | discarded |
//! | `ContinueAsNew` | the run begins anew, if nothing else is open; see `continue_as_new.rs` | discarded |
//! | `Await` | the item stays pending, and waits for a child run that has to be started | discarded |
//! | `Await` with signals | as `Await`, and waits for signals as well; if one is in the mailbox already, no child run is started | discarded |
//! | `Started` | the child run is recorded as started | discarded |
//! | `AwaitMany`, `StartedMany` | as `Await` and `Started`, for many child runs of one item | discarded |
//! | `Handled` | as `Next`, and the error is counted | discarded |
//! | `Failed` | the run is Failed | discarded |
//!
//! In a run that is Cancelling, an item is one of the clean-up, and then as above except that `Failed` ends its branch alone. Or it is
//! cancelled: the only new outcome of such an item is `CleanUp`, which replaces it by what its `on_cancel` edge leads to. The outcome of
//! a node that was running counts if the node succeeded; if not, its item has to be cleaned up. See `clean_up.rs`.
//!
//! When no item and no fan-out is left, the run is Completed, or Failed if it has no output, or Cancelled if it was Cancelling.

mod apply;
mod attempt;
mod attempt_id;
mod attempts;
mod begin;
mod bitset;
mod children;
mod chunk;
mod clean_up;
mod continue_as_new;
pub mod control;
mod deadline;
mod effect;
mod end;
mod fan_out;
mod first_of;
mod mailbox;
mod offload;
mod output;
mod person;
mod recover;
mod result_version;
mod retry;
mod signal;
mod signal_ids;
mod snapshot;
mod start_time;
mod tombstone;
mod unreadable;
mod validate;
mod wait;

pub use crate::{
    drawing::node_states,
    view::{DoneView, ErrorView, MailboxView, PendingView, StatusView},
};
pub use apply::apply;
pub use attempt::{AttemptReport, EncodedEmission, EncodedOutcome, EndedSpan, NextTry, Successor};
pub use attempt_id::AttemptId;
pub use attempts::count_attempt;
pub use begin::{Begin, RunInput, begin};
pub use bitset::BitSet;
pub use children::{
    ChildGroup, ChildIntent, ChildStart, ChildWanted, EndedChild, ManyWanted, OnParentCancel, child_run_id,
    close_intents,
};
pub use chunk::{Chunk, ChunkRef};
pub use clean_up::{CancelReason, Cancellation, cancel_with_clean_up, terminate};
pub use continue_as_new::refuse_to_continue;
pub use deadline::{BadDeadline, RunDeadline, end_overdue};
pub use effect::{Applied, Effect, TicketFor};
pub use end::end_effects;
pub use fan_out::{Arrival, Arrivals, Bounded, Branch, BranchChunk, BranchInput, FanOut, PendingBranches};
pub use first_of::FirstOf;
pub use mailbox::{Letter, MAX_LETTER_BYTES, MAX_LETTERS, Mailbox, Verdict};
pub use offload::{ChunkEntry, Limits, offload};
pub use output::EncodedOutput;
pub use person::{NotRetried, RetriedItems, retry_items};
pub use recover::{TicketWanted, pending_ticket, pending_tickets, tickets_under};
pub use result_version::{ResultVersion, WantedResult};
pub use retry::Failures;
pub use signal::{ArrivedSignal, Delivered, SawSignals, SignalPlace, SignalWait, SignalWanted, deliver};
pub use signal_ids::{GIVEN_SIGNAL_ID, signal_id_hash};
pub use snapshot::{
    Child, HandledFailures, Input, Item, Output, Parent, Payload, RunError, Snapshot, Status, Trace,
};
pub use start_time::{BadStartTime, StartTime};
pub use tombstone::tombstone;
pub use unreadable::{
    FoundUnreadable, Marked, UnreadableBy, UnreadableItem, UnreadablePart, mark_unreadable,
};
pub use wait::{AlarmWanted, Later, MAX_ALARM, MAX_WAIT, NEAR, NowDue, Wait, rings_at};
