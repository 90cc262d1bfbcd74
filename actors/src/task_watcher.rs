//! Tells an actor of the tasks that it owns and that have ended.

use actix::{Actor, ActorFuture, AsyncContext};
use std::{
    panic,
    pin::Pin,
    task::{self, Poll},
};
use tokio::task::JoinSet;

/// What an actor fails with whose tasks were aborted by nobody's order.
pub(crate) const RUNTIME_SHUT_DOWN: &str =
    "the runtime that nodes run on has shut down: drain the actors first";

/// Watches a set of tasks that the actor owns. To be spawned into the actor's context, once for each set.
///
/// A task is not a future of the context, since a context polls all of its futures whenever one wakes. A task that
/// panics takes the actor with it: the supervisor then builds both anew.
pub(crate) struct TaskWatcher<A: Actor, T> {
    set: fn(&mut A) -> &mut JoinSet<T>,
    ended: fn(&mut A, Option<T>, &mut A::Context),
}

impl<A: Actor, T> TaskWatcher<A, T> {
    /// Calls `ended` with what each task of `set` returned; with `None` where it was aborted, by the actor itself or
    /// by a runtime that shuts down.
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
        // An empty set wakes nobody. The actor adds to it from a handler, and a context polls its futures after its
        // mailbox, so the new task is seen here.
        Poll::Pending
    }
}
