//! What a commit asks for: tickets, and other effects.

use super::{
    children::ChildIntent,
    chunk::ChunkRef,
    snapshot::{Parent, Snapshot},
};
use crate::{Incarnation, ItemId, Timestamp};

/// The record of a run after a decision, and what to do once the record is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The record to write.
    pub snapshot: Snapshot,
    /// The tickets to publish once it is written.
    pub tickets: Vec<TicketFor>,
    /// The effects to carry out once it is written, after the tickets.
    pub effects: Vec<Effect>,
}

/// What to do after a commit, apart from tickets. Every effect is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Publish the result of the run: it has ended.
    PublishResult,
    /// Publish a ticket for the item of another run that waits for this run: it has ended.
    WakeParent(Parent),
    /// Start, cancel or prevent a child run.
    Child(ChildIntent),
    /// The intents that were carried out are done: write the record without them.
    CloseIntents,
    /// Publish tickets for the items that became due after `since` and until this commit. `except` gets its ticket from the alarm
    /// of the run.
    PublishDue {
        /// The commit before this one.
        since: Timestamp,
        /// The item of the alarm that was armed then.
        except: ItemId,
    },
    /// Tell all hosts that the run is being cancelled, or has been: the nodes that run for it should stop.
    TellHosts,
    /// Publish the tickets of pending items that have none.
    PublishMissing,
    /// Arm the alarm of the run: an item becomes due.
    ArmAlarm {
        /// This commit. The record may have later ones by then, since commits are written in groups: an item that is due between
        /// them needs the alarm as well.
        since: Timestamp,
    },
    /// Publish tickets of their own for these items: each has waited without a ticket, and does not wait any more.
    WakeItems(Vec<ItemId>),
    /// Move the signals that no step has taken to the dead letters: the run has ended.
    ReportUntaken,
    /// Disarm the alarm of the run for this time: nothing waits for it any more.
    DisarmAlarm(Timestamp),
    /// Disarm every alarm of the run: it has ended.
    DisarmAllAlarms,
    /// Delete every chunk of an incarnation from which the run has continued as new.
    DropChunksOf(Incarnation),
    /// Disarm every alarm of an incarnation from which the run has continued as new.
    DisarmAlarmsOf(Incarnation),
    /// Delete chunks that nothing refers to any more.
    DropChunks(Vec<ChunkRef>),
    /// Delete every chunk of the run.
    DropAllChunks,
}

/// A pending item to publish a ticket for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFor {
    /// The item.
    pub item: ItemId,
    /// Its node.
    pub node: String,
}
