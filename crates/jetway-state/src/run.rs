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
//! spill(snapshot, commit, limits) -> the payloads that do not fit, as chunks beside the snapshot
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
//! | `Caught` | as `Next`, and the error is counted | discarded |
//! | `Failed` | the run is Failed | discarded |
//!
//! When no item and no fan-out is left the run is Completed, or Failed where it has no output.

mod apply;
mod attempt;
mod begin;
mod children;
pub mod control;
mod effect;
mod fan_out;
mod node_states;
mod positions;
mod recover;
mod snapshot;
mod sound;
mod spill;
mod view;

pub use apply::{Applied, apply, at_the_end};
pub use attempt::{Attempt, Emitted, Produced, Successor};
pub use begin::{Begin, Seed, begin};
pub use children::{Parent, never_begun};
pub use effect::{Effect, TicketFor};
pub use fan_out::{Arrival, Arrivals, Branch, FanOut, SeedChunk, Seeded, Seeds};
pub use node_states::node_states;
pub use positions::Positions;
pub use recover::{TicketWanted, pending_ticket, pending_tickets, tickets_under};
pub use snapshot::{Caught, ChunkRef, Input, Item, Output, Payload, RunError, Snapshot, Status, Trace};
pub use spill::{Chunk, ChunkEntry, Limits, spill};
pub use view::{DoneView, ErrorView, PendingView, StatusView};
