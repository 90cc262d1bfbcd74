//! The keeper: extends the leases that this host holds, and gives back those that were dropped.
//!
//! A ticket whose lease ends is delivered to another worker, and the step runs twice. So the keeper shares its thread
//! with nobody: nodes run on the runtime that the system was given, where a node that computes without a pause blocks
//! a thread, or all of them; the worker and the coordinator have threads of their own too. The keeper's arbiter runs
//! nothing but this actor, so a lease is extended on time whatever else the process does.
//!
//! What the keeper cannot help: a backend that needs a thread of the nodes' runtime to send its messages. Give the
//! system another runtime than the one that the backend's connection was made on.

mod held;
pub(crate) mod messages;

pub(crate) use held::{HeldLease, HeldLeases};

use crate::{backoff, supervisor::ExitReason};
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture,
};
use futures::{FutureExt, StreamExt, future::Either, stream::FuturesUnordered};
use held::Due;
use jetway_engine::backend::{BackendError, BackendErrorKind, Lease};
use messages::Finish;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// The keeper gets one message in its life; a few may gather while it is rebuilt.
pub(crate) const MAILBOX: usize = 4;

/// How long giving back one lease may take. Past that the lease ends by itself.
const NAK_LIMIT: Duration = Duration::from_secs(2);

/// What the keeper has done since the system started.
#[derive(Debug, Default)]
pub(crate) struct LeaseKeeperCounters {
    /// Extensions that succeeded.
    pub(crate) extended: AtomicU64,
    /// Extensions that failed; each is tried again.
    pub(crate) failed: AtomicU64,
    /// Messages that were given back because the work on them was dropped.
    pub(crate) dropped: AtomicU64,
}

/// The keeper.
pub(crate) struct LeaseKeeper {
    leases: Arc<HeldLeases>,
    counters: Arc<LeaseKeeperCounters>,
    exit_reason: ExitReason,
}

impl LeaseKeeper {
    pub(crate) fn new(
        leases: Arc<HeldLeases>,
        counters: Arc<LeaseKeeperCounters>,
        exit_reason: ExitReason,
    ) -> Self {
        Self { leases, counters, exit_reason }
    }
}

impl Actor for LeaseKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let keeping = keep(self.leases.clone(), self.counters.clone());
        ctx.spawn(keeping.into_actor(self));
    }
}

impl Handler<Finish> for LeaseKeeper {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Finish: Finish, _ctx: &mut Context<Self>) -> Self::Result {
        let leases = self.leases.clone();
        leases.nak_all();
        let done = async move { leases.all_naks_done().await }.into_actor(self);
        Box::pin(done.map(|(), keeper, ctx| {
            keeper.exit_reason.stopped();
            ctx.stop();
        }))
    }
}

/// Does what is due, for ever. All calls go at once: there is one for each held lease at most.
async fn keep(leases: Arc<HeldLeases>, counters: Arc<LeaseKeeperCounters>) {
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            due = leases.due() => {
                let Due { extend, give_back } = due;
                let extend = extend.into_iter().map(|(id, lease)| extend_one(&leases, &counters, id, lease));
                calls.extend(extend.map(Either::Left));
                let give_back = give_back.into_iter().map(|lease| nak_one(&leases, &counters, lease));
                calls.extend(give_back.map(Either::Right));
            }
            Some(()) = calls.next(), if !calls.is_empty() => {}
        }
    }
}

async fn extend_one(leases: &HeldLeases, counters: &LeaseKeeperCounters, id: u64, lease: Arc<dyn Lease>) {
    // It may have been released since it was found due: its message is settled then, and needs nothing any more.
    let Some(every) = leases.every(id) else { return };
    let extended = timeout(every, lease.extend()).map(|answer| answer.unwrap_or_else(|_| Err(no_answer())));
    match extended.await {
        Ok(()) => {
            counters.extended.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "a lease could not be extended: it is tried again");
            leases.not_extended(id, backoff::jittered);
        }
    }
}

async fn nak_one(leases: &HeldLeases, counters: &LeaseKeeperCounters, lease: Arc<dyn Lease>) {
    let given_back = timeout(NAK_LIMIT, lease.nak()).await;
    match given_back.unwrap_or_else(|_| Err(no_answer())) {
        Ok(()) => {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            tracing::warn!(%error, "a message could not be given back: it comes back when its lease ends");
        }
    }
    leases.nak_done();
}

fn no_answer() -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, "the backend did not answer in time")
}

#[cfg(test)]
mod tests;
