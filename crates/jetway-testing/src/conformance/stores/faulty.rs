//! Stores that fail when a case wants them to.

use async_trait::async_trait;
use jetway_core::{
    Checkpoint, CheckpointError, CheckpointStore, Context, ContextStore, Merge, WorkItem, WorkQueue,
    distributed::{ContextStoreError, Leased, WorkQueueError},
};
use jetway_state::run::Snapshot;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Whether one of the failures that are left is due now.
pub(super) fn due(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// A queue that takes nothing in, and hands nothing out, so many times.
#[derive(Debug, Clone)]
pub(super) struct FaultyQueue<Q> {
    queue: Q,
    full: Arc<AtomicU32>,
    mute: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
}

impl<Q> FaultyQueue<Q> {
    pub(super) fn new(queue: Q) -> Self {
        Self { queue, full: Arc::default(), mute: Arc::default(), asked: Arc::default() }
    }

    /// How often it was asked for an item.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Takes nothing in the next so many times.
    pub(super) fn refuse(&self, times: u32) {
        self.full.store(times, Ordering::SeqCst);
    }

    /// Hands nothing out the next so many times.
    pub(super) fn fall_silent(&self, times: u32) {
        self.mute.store(times, Ordering::SeqCst);
    }

    fn answers(&self) -> Result<(), WorkQueueError> {
        if due(&self.mute) { Err(WorkQueueError::Io("no answer".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem + 'static, Q: WorkQueue<C, WI>> WorkQueue<C, WI> for FaultyQueue<Q> {
    async fn enqueue(&self, run_id: &str, work: WI) -> Result<(), WorkQueueError> {
        if due(&self.full) {
            return Err(WorkQueueError::Io("full".to_owned()));
        }
        self.queue.enqueue(run_id, work).await
    }

    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError> {
        self.answers()?;
        self.queue.dequeue().await
    }

    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError> {
        self.queue.purge_run(run_id).await
    }

    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError> {
        self.queue.pending_work(run_id).await
    }

    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers()?;
        self.queue.lease().await
    }

    async fn ack(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue.ack(leased).await
    }

    async fn nak(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue.nak(leased).await
    }

    fn abandon(&self, leased: &Leased<WI>) {
        self.queue.abandon(leased);
    }

    async fn nak_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        self.queue.nak_after(leased, delay).await
    }
}

/// Contexts that cannot be read, and cannot be written, so many times; with their records or without.
#[derive(Debug)]
pub(super) struct FaultyContexts<CS> {
    store: CS,
    records: bool,
    mute: AtomicU32,
    full: AtomicU32,
}

impl<CS> FaultyContexts<CS> {
    pub(super) fn new(store: CS, records: bool) -> Self {
        Self { store, records, mute: AtomicU32::new(0), full: AtomicU32::new(0) }
    }

    /// Takes nothing in the next so many times.
    pub(super) fn refuse(&self, times: u32) {
        self.full.store(times, Ordering::SeqCst);
    }

    /// Hands nothing out the next so many times.
    pub(super) fn fall_silent(&self, times: u32) {
        self.mute.store(times, Ordering::SeqCst);
    }

    fn answers(&self) -> Result<(), ContextStoreError> {
        if due(&self.mute) { Err(ContextStoreError::Io("no answer".to_owned())) } else { Ok(()) }
    }

    fn has_room(&self) -> Result<(), ContextStoreError> {
        if due(&self.full) { Err(ContextStoreError::Io("full".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl<C: Context + Merge + 'static, CS: ContextStore<C>> ContextStore<C> for FaultyContexts<CS> {
    async fn get(&self, run_id: &str) -> Result<Option<C>, ContextStoreError> {
        self.answers()?;
        self.store.get(run_id).await
    }

    async fn set(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        self.has_room()?;
        self.store.set(run_id, ctx).await
    }

    async fn merge(&self, run_id: &str, ctx: C) -> Result<(), ContextStoreError> {
        self.has_room()?;
        self.store.merge(run_id, ctx).await
    }

    fn keeps_snapshots(&self) -> bool {
        self.records
    }

    async fn snapshot(&self, run_id: &str) -> Result<Option<(Snapshot, u64)>, ContextStoreError> {
        self.answers()?;
        self.store.snapshot(run_id).await
    }

    async fn swap_snapshot(
        &self,
        run_id: &str,
        expected: u64,
        snapshot: &Snapshot,
    ) -> Result<bool, ContextStoreError> {
        self.has_room()?;
        self.store.swap_snapshot(run_id, expected, snapshot).await
    }
}

/// Checkpoints that can be saved so many times and no more, as by a process that is lost.
#[derive(Debug)]
pub(super) struct LostCheckpoints<'a, CS> {
    store: &'a CS,
    saves: AtomicU32,
}

impl<'a, CS> LostCheckpoints<'a, CS> {
    pub(super) fn after(store: &'a CS, saves: u32) -> Self {
        Self { store, saves: AtomicU32::new(saves) }
    }
}

#[async_trait]
impl<C, WI, CS> CheckpointStore<C, WI> for LostCheckpoints<'_, CS>
where
    C: Context,
    WI: WorkItem,
    CS: CheckpointStore<C, WI> + Send + Sync,
{
    async fn save(&self, id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        if !due(&self.saves) {
            return Err(CheckpointError::Store("the process is lost".to_owned()));
        }
        self.store.save(id, checkpoint).await
    }

    async fn load(&self, id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        self.store.load(id).await
    }
}
