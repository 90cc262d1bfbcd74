//! What a commit asks the rest of the engine to do.

use super::{ChunkRef, Parent};
use crate::{ItemId, RunKey};

/// What is to be done after a commit. Every effect may be carried out more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell a worker that an item is pending.
    Ticket(TicketFor),
    /// Publish the result of the run: it has ended.
    Done,
    /// Tell the parent of the run that it has ended.
    Wake(Parent),
    /// Cancel a child run that nobody waits for any more.
    CancelChild(RunKey),
    /// The same for one that may not have been started: it must not be any more.
    PreventChild(RunKey),
    /// Remove chunks that nothing names any more.
    DropChunks(Vec<ChunkRef>),
    /// Remove every chunk of the run.
    DropAllChunks,
}

/// A pending item that wants a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFor {
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
}
