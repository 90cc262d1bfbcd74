//! The rules of the engine: what a run's record is and how it changes.
//!
//! Everything in here is a pure function of its arguments: no I/O, no clock, no randomness. The rest of Jetway carries
//! out what these functions decide.
//!
//! ```text
//! begin(start)                    -> (snapshot, effects)
//! apply(snapshot, attempt)        -> (snapshot', effects), or the attempt is discarded
//! control::cancel, pause, ..(snapshot) -> (snapshot', effects), or the run is not in a state for it
//! recover(snapshot, ticket)       -> the tickets that a lost worker may not have published
//! offload(snapshot, commit, limits) -> the payloads that do not fit, as chunks beside the snapshot
//! ```
//!
//! | attempt ended in | run Running, item pending | anything else |
//! |---|---|---|
//! | `Next`, one successor | the item is replaced by its successor | discarded |
//! | `Next`, several; `NextAll` | the item is replaced by a fan-out | discarded |
//! | `Next` to a gathering node | the branch arrives; the last open branch fires the node | discarded |
//! | an output | the output is kept; the branch ends | discarded |
//! | `Hold` | the branch ends | discarded |
//! | `Await` | the item stays, and waits for a child run that is to be started | discarded |
//! | `Started` | the child run is known to be started | discarded |
//! | `HandledFailures` | as `Next`, and the error is counted | discarded |
//! | `Failed` | the run is Failed | discarded |
//!
//! When no item and no fan-out is left the run is Completed, or Failed where it has no output.

mod apply;
mod attempt;
mod attempt_id;
mod begin;
mod bitset;
mod children;
mod chunk;
pub mod control;
mod effect;
mod end;
mod fan_out;
mod offload;
mod recover;
mod snapshot;
mod tombstone;
mod validate;

pub use crate::{
    drawing::node_states,
    view::{DoneView, ErrorView, PendingView, StatusView},
};
pub use apply::apply;
pub use attempt::{AttemptReport, EncodedEmission, EncodedOutcome, Successor};
pub use attempt_id::AttemptId;
pub use begin::{Begin, RunInput, begin};
pub use bitset::BitSet;
pub use chunk::{Chunk, ChunkRef};
pub use effect::{Applied, Effect, TicketFor};
pub use end::end_effects;
pub use fan_out::{Arrival, Arrivals, Branch, BranchChunk, BranchInput, FanOut, PendingBranches};
pub use offload::{ChunkEntry, Limits, offload};
pub use recover::{TicketWanted, pending_ticket, pending_tickets, tickets_under};
pub use snapshot::{
    HandledFailures, Input, Item, Output, Parent, Payload, RunError, Snapshot, Status, Trace,
};
pub use tombstone::tombstone;
