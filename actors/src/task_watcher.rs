//! Notifies an actor when a task that it owns has ended.

use actix::{Actor, ActorFuture, AsyncContext};
use std::{
    panic,
    pin::Pin,
    task::{self, Poll},
};
use tokio::task::JoinSet;

/// The error of an actor whose tasks were aborted by the shutdown of their runtime.
pub(crate) const RUNTIME_SHUT_DOWN: &str = "the runtime of the nodes has shut down: drain the actors first";

/// Watches a set of tasks that the actor owns. Spawn one into the actor's context for each set.
///
/// The tasks are not futures of the context, because a context polls all of its futures whenever one wakes. If a task
/// panics, the actor panics too: the supervisor then restarts both.
pub(crate) struct TaskWatcher<A: Actor, T> {
    set: fn(&mut A) -> &mut JoinSet<T>,
    ended: fn(&mut A, Option<T>, &mut A::Context),
}

impl<A: Actor, T> TaskWatcher<A, T> {
    /// Calls `ended` with the result of each task of `set`, or with `None` if the task was aborted, by the actor or by a
    /// runtime that shuts down.
    pub(crate) fn new(
        set: fn(&mut A) -> &mut JoinSet<T>,
        ended: fn(&mut A, Option<T>, &mut A::Context),
    ) -> Self {
        Self { set, ended }
    }
}

impl<A, T> ActorFuture<A> for TaskWatcher<A, T>
where
    A: Actor,
    A::Context: AsyncContext<A>,
    T: 'static,
{
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut A::Context,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        while let Poll::Ready(Some(ended)) = (self.set)(actor).poll_join_next(task) {
            match ended.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(value) => (self.ended)(actor, Some(value), ctx),
                Err(Ok(payload)) => panic::resume_unwind(payload),
                Err(Err(_aborted)) => (self.ended)(actor, None, ctx),
            }
        }
        // An empty set does not wake this future. The actor adds tasks in its handlers, and a context polls its futures
        // after its mailbox, so a new task is polled here.
        Poll::Pending
    }
}
