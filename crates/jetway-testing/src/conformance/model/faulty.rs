//! Stores that fail when a case wants them to.

use async_trait::async_trait;
use jetway_core::{
    Checkpoint, CheckpointError, CheckpointStore, Context, WorkItem, WorkQueue,
    distributed::{Leased, WorkQueueError},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Whether one of the failures that are left is due now.
fn due(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// A queue that takes nothing in, and hands nothing out, so many times.
#[derive(Debug, Clone)]
pub(super) struct FaultyQueue<Q> {
    queue: Q,
    full: Arc<AtomicU32>,
    mute: Arc<AtomicU32>,
}

impl<Q> FaultyQueue<Q> {
    pub(super) fn new(queue: Q) -> Self {
        Self { queue, full: Arc::default(), mute: Arc::default() }
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
        self.answers()?;
        self.queue.lease().await
    }

    async fn settle(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue.settle(leased).await
    }

    async fn give_back(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue.give_back(leased).await
    }

    async fn give_back_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        self.queue.give_back_after(leased, delay).await
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
