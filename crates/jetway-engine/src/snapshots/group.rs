//! Group commit: attempts of one run that end at the same time are written together.
//!
//! The first attempt leads: it writes every attempt that waits. Attempts that arrive during that write wait for the next
//! one, which one of them leads. If the leader is dropped in the middle of a write, the lead passes on, and each
//! attempt of its group is added again by its own task.

use super::{CachedSnapshot, locked};
use crate::backend::BackendError;
use jetway_core::step::AttemptWithBase;
use jetway_state::{
    Seen,
    run::{Effect, TicketFor},
};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The attempts of a run that wait while a write of it is in progress.
#[derive(Default)]
pub(crate) struct CommitGroup(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<PendingCommit>,
    led: bool,
}

/// An attempt that waits to be committed.
pub(crate) struct PendingCommit {
    pub(crate) attempt: Arc<AttemptWithBase>,
    /// The record that it was made on.
    pub(crate) seen: Seen,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The answer to a waiting attempt.
pub(crate) enum Reply {
    /// The write of its group ended.
    Written(Result<CommitResult, BackendError>),
    /// The write before ended: lead the next group.
    Lead(GroupLeader),
}

/// The outcome of a commit, and the latest snapshot.
pub(crate) struct CommitResult {
    pub(crate) outcome: CommitOutcome,
    pub(crate) cached: CachedSnapshot,
}

/// The outcome of the commit of one attempt.
pub(crate) enum CommitOutcome {
    /// It is committed, with these tickets and effects.
    Committed(Vec<TicketFor>, Vec<Effect>),
    /// The item was no longer pending: the attempt is discarded.
    Discarded,
    /// The node held its branch because of a context that changed meanwhile, or a signal has come for it: it has to run again.
    RunAgain,
}

impl CommitGroup {
    /// Adds an attempt. Returns a leader if the caller has to write the group.
    pub(crate) fn join(self: &Arc<Self>, pending: PendingCommit) -> Option<GroupLeader> {
        jetway_state::hop!("CommitGroup::join");
        let mut state = locked(&self.0);
        state.waiting.push(pending);
        if state.led {
            return None;
        }
        state.led = true;
        Some(GroupLeader { group: Some(Arc::clone(self)) })
    }
}

/// The right, and the duty, to write the waiting attempts of a run. When it is dropped the lead passes on, also when
/// its task is dropped in the middle of a write.
pub(crate) struct GroupLeader {
    group: Option<Arc<CommitGroup>>,
}

impl GroupLeader {
    /// All attempts that wait now.
    pub(crate) fn take_waiting(&self) -> Vec<PendingCommit> {
        self.group.as_ref().map(|group| std::mem::take(&mut locked(&group.0).waiting)).unwrap_or_default()
    }

    /// All attempts that wait now, and the leader's own.
    pub(crate) fn take_waiting_with(&self, own: PendingCommit) -> Vec<PendingCommit> {
        let mut waiting = self.take_waiting();
        waiting.push(own);
        waiting
    }
}

impl Drop for GroupLeader {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        loop {
            let next = {
                let mut state = locked(&group.0);
                let next = state.waiting.pop();
                state.led = next.is_some();
                next
            };
            let Some(next) = next else { return };
            // The new leader adds its own attempt again, so nothing is lost with this entry.
            match next.reply.send(Reply::Lead(Self { group: Some(Arc::clone(&group)) })) {
                Ok(()) => return,
                Err(Reply::Lead(mut unwanted)) => unwanted.group = None,
                Err(Reply::Written(_)) => {}
            }
        }
    }
}
