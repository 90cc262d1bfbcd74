//! The lease keeper: extends the leases that this host holds, and gives back (nak) those of dropped work.
//!
//! A ticket whose lease ends is delivered to another worker, and the step runs twice. So the lease keeper has a thread
//! that runs nothing else. Nodes run on the runtime given to the system, where one that computes without an await blocks
//! a thread; the worker and the coordinator have their own threads too.
//!
//! One case is not covered: a backend that needs a thread of the nodes' runtime to send its messages. Use another
//! runtime for the connection of the backend than for the nodes.

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

/// Messages that may wait for the lease keeper. It receives one, `Finish`; a restart must not lose it.
pub(crate) const MAILBOX: usize = 4;

/// How long one nak may take. After that the lease ends by itself.
const NAK_LIMIT: Duration = Duration::from_secs(2);

/// The counts of the lease keeper since the system started. They survive restarts.
#[derive(Debug, Default)]
pub(crate) struct LeaseKeeperCounters {
    /// Extensions that succeeded.
    pub(crate) extended: AtomicU64,
    /// Extensions that failed; each is retried.
    pub(crate) failed: AtomicU64,
    /// Messages given back because the work on them was dropped.
    pub(crate) dropped: AtomicU64,
}

/// The lease keeper.
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
        let task = keep(self.leases.clone(), self.counters.clone());
        ctx.spawn(task.into_actor(self));
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

/// Extends and gives back leases as they are due, forever. All calls run at once: there is at most one for each lease.
async fn keep(leases: Arc<HeldLeases>, counters: Arc<LeaseKeeperCounters>) {
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            due = leases.due() => {
                let Due { extend, nak } = due;
                let extend = extend.into_iter().map(|(id, lease)| extend_one(&leases, &counters, id, lease));
                calls.extend(extend.map(Either::Left));
                let nak = nak.into_iter().map(|lease| nak_one(&leases, &counters, lease));
                calls.extend(nak.map(Either::Right));
            }
            Some(()) = calls.next(), if !calls.is_empty() => {}
        }
    }
}

async fn extend_one(leases: &HeldLeases, counters: &LeaseKeeperCounters, id: u64, lease: Arc<dyn Lease>) {
    // Released in the meantime: its message is acknowledged and needs no extension.
    let Some(interval) = leases.interval(id) else { return };
    let extended =
        timeout(interval, lease.extend()).map(|answer| answer.unwrap_or_else(|_| Err(no_answer())));
    match extended.await {
        Ok(()) => {
            counters.extended.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "lease not extended: the extension is retried");
            leases.retry_extension(id, backoff::jittered);
        }
    }
}

async fn nak_one(leases: &HeldLeases, counters: &LeaseKeeperCounters, lease: Arc<dyn Lease>) {
    let result = timeout(NAK_LIMIT, lease.nak()).await;
    match result.unwrap_or_else(|_| Err(no_answer())) {
        Ok(()) => {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            tracing::warn!(%error, "message not given back: it is delivered again when its lease ends");
        }
    }
    leases.nak_done();
}

fn no_answer() -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, "the backend did not answer in time")
}

#[cfg(test)]
mod tests;
