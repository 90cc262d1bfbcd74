//! The queue of work items.

use crate::{Context, WorkItem};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The error of a work queue.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkQueueError {
    /// The queue could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// The queue is empty.
    #[error("Queue is empty")]
    Empty,
    /// Any other error.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<WorkQueueError> for jetway_state::Error {
    fn from(error: WorkQueueError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A leased work item.
#[derive(Debug, Clone)]
pub struct Leased<WI> {
    /// The run id.
    pub run_id: String,
    /// The item.
    pub item: WI,
    /// The queue's id of the lease; 0 where the queue has no leases and the item is already removed.
    pub lease: u64,
}

/// Holds work items until workers execute them.
///
/// ```
/// # use jetway_core::WorkItem;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # struct Item(String);
/// # impl std::fmt::Display for Item {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
/// # }
/// # impl WorkItem for Item {
/// #     fn instance_id(&self) -> String { self.0.clone() }
/// #     fn is_terminal(&self) -> bool { false }
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use jetway_core::distributed::{InMemoryWorkQueue, WorkQueue, WorkQueueError};
/// use std::time::Duration;
///
/// async fn postpone<Q: WorkQueue<(), Item>>(queue: Q) -> Result<(), WorkQueueError> {
///     queue.enqueue("r1", Item("start".into())).await?;
///     let leased = queue.lease().await?.expect("the queue has an item");
///     // It stays in the queue, and nobody can lease it for a minute.
///     queue.nak_after(&leased, Duration::from_secs(60)).await?;
///     assert!(queue.lease().await?.is_none());
///     assert_eq!(queue.pending_work("r1").await?, [Item("start".into())]);
///     Ok(())
/// }
/// postpone(InMemoryWorkQueue::new()).await
/// # }).unwrap();
/// ```
///
/// The first four methods are required. A queue that also implements leases delivers an item again whose worker
/// crashed.
///
/// ```
/// use jetway_core::{Transition, WorkQueue, Workflow, distributed::{InMemoryWorkQueue, WorkQueueError}};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::{node, workflow};
///
/// node! { pub struct Double; input = u64; output = u64; |_, x| Ok(Transition::Next(x * 2)) }
/// workflow! { pub struct Doubling { double: Double } start = double; edges { double => []; } }
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
/// /// Leases one item and gives it back.
/// async fn peek(queue: &impl WorkQueue<(), DoublingWorkItem>) -> Result<Option<String>, WorkQueueError> {
///     let Some(leased) = queue.lease().await? else { return Ok(None) };
///     queue.nak(&leased).await?;
///     Ok(Some(format!("{}: {}", leased.run_id, leased.item)))
/// }
///
/// let queue = InMemoryWorkQueue::new();
/// let item = Doubling { double: Double }.start_work_item(21);
/// WorkQueue::<(), _>::enqueue(&queue, "run-1", item).await?;
/// assert_eq!(peek(&queue).await?.as_deref(), Some("run-1: Double(21)"));
/// assert_eq!(WorkQueue::<(), _>::pending_work(&queue, "run-1").await?.len(), 1);
/// # Ok::<_, WorkQueueError>(()) }).expect("the queue is in memory");
/// # }
/// ```
#[async_trait]
pub trait WorkQueue<C: Context, WI: WorkItem>: Clone + Send + Sync + 'static {
    /// Adds an item. Where an item with the same run and id waits already, it may ignore the second one.
    ///
    /// # Errors
    /// The error of the queue.
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError>;

    /// Removes and returns an item; `None` where none waits. The item is not delivered again.
    ///
    /// # Errors
    /// The error of the queue.
    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError>;

    /// Removes all items of a run.
    ///
    /// # Errors
    /// The error of the queue.
    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError>;

    /// The items of a run that are in the queue, each id once: those that wait, those that are delayed, and leased ones
    /// that are not acknowledged yet. Empty for an unknown run.
    ///
    /// # Errors
    /// The error of the queue.
    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError>;

    /// Leases an item; `None` where none waits. The item is delivered again unless it is acknowledged. The default has
    /// no leases and removes the item, as [`dequeue`](Self::dequeue) does.
    ///
    /// # Errors
    /// The error of the queue.
    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        let removed = self.dequeue().await?;
        Ok(removed.map(|(run_id, item)| Leased { run_id, item, lease: 0 }))
    }

    /// Acknowledges a leased item: removes it from the queue.
    ///
    /// # Errors
    /// The error of the queue.
    async fn ack(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        let _already_removed = leased;
        Ok(())
    }

    /// Gives a leased item back. It can be leased again immediately.
    ///
    /// # Errors
    /// The error of the queue.
    async fn nak(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        if leased.lease == 0 { self.enqueue(&leased.run_id, leased.item.clone()).await } else { Ok(()) }
    }

    /// Called when the future of a step is dropped, so nothing can be awaited: the lease has no holder. The item should
    /// be delivered again soon. Must do nothing for a lease that has ended.
    ///
    /// The default does nothing: the lease then has to expire. A queue without leases has lost the item.
    fn abandon(&self, leased: &Leased<WI>) {
        let _expires = leased;
    }

    /// Gives a leased item back. It can be leased again after `delay`. Until then it stays in the queue under the same
    /// id, so that it survives a crash of this process.
    ///
    /// The default is for queues without delays: it gives the item back immediately and then sleeps, so that at least
    /// the caller does not lease it earlier.
    ///
    /// # Errors
    /// The error of the queue.
    async fn nak_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        self.nak(leased).await?;
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Work items in memory, first in, first out over all runs. Clones share the queue.
///
/// A lease does not expire. It ends when it is acknowledged, given back or [abandoned](WorkQueue::abandon): a worker
/// cannot crash alone, only together with the process and this queue.
pub struct InMemoryWorkQueue<WI: WorkItem>(Arc<Mutex<Queue<WI>>>);

/// Replaces a delay that is too long for the clock.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

struct Queue<WI> {
    waiting: VecDeque<(String, WI)>,
    /// By the time from which they can be leased, and by the lease that was given back.
    delayed: BTreeMap<(Instant, u64), (String, WI)>,
    leased: BTreeMap<u64, (String, WI)>,
    leases: u64,
}

impl<WI: WorkItem> Queue<WI> {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), delayed: BTreeMap::new(), leased: BTreeMap::new(), leases: 0 }
    }

    fn take(&mut self) -> Option<(String, WI)> {
        let now = Instant::now();
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            self.waiting.push_back(first.remove());
        }
        self.waiting.pop_front()
    }

    /// Ends a lease. Its item is the next one to be leased.
    fn give_back(&mut self, lease: u64) {
        if let Some(item) = self.leased.remove(&lease) {
            self.waiting.push_front(item);
        }
    }

    fn unleased(&self) -> impl Iterator<Item = &(String, WI)> {
        self.waiting.iter().chain(self.delayed.values())
    }
}

impl<WI: WorkItem> InMemoryWorkQueue<WI> {
    /// An empty queue.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Queue::new())))
    }

    fn queue(&self) -> MutexGuard<'_, Queue<WI>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<WI: WorkItem> Default for InMemoryWorkQueue<WI> {
    fn default() -> Self {
        Self::new()
    }
}

impl<WI: WorkItem> Clone for InMemoryWorkQueue<WI> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<WI: WorkItem> fmt::Debug for InMemoryWorkQueue<WI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryWorkQueue").finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Context, WI: WorkItem + 'static> WorkQueue<C, WI> for InMemoryWorkQueue<WI> {
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError> {
        let mut queue = self.queue();
        let id = work.instance_id();
        let known = |(run, item): &(String, WI)| run == workflow_id && item.instance_id() == id;
        if !queue.unleased().any(known) {
            queue.waiting.push_back((workflow_id.to_owned(), work));
        }
        Ok(())
    }

    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError> {
        Ok(self.queue().take())
    }

    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError> {
        let mut queue = self.queue();
        queue.waiting.retain(|(run, _)| run != run_id);
        queue.delayed.retain(|_, (run, _)| run != run_id);
        queue.leased.retain(|_, (run, _)| run != run_id);
        Ok(())
    }

    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError> {
        let queue = self.queue();
        let mut seen = BTreeSet::new();
        let all = queue.leased.values().chain(queue.unleased());
        let of_run = all.filter(|(run, item)| run == run_id && seen.insert(item.instance_id()));
        Ok(of_run.map(|(_, item)| item.clone()).collect())
    }

    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        let mut queue = self.queue();
        let Some((run_id, item)) = queue.take() else {
            return Ok(None);
        };
        queue.leases += 1;
        let lease = queue.leases;
        queue.leased.insert(lease, (run_id.clone(), item.clone()));
        Ok(Some(Leased { run_id, item, lease }))
    }

    async fn ack(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue().leased.remove(&leased.lease);
        Ok(())
    }

    async fn nak(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        self.queue().give_back(leased.lease);
        Ok(())
    }

    fn abandon(&self, leased: &Leased<WI>) {
        self.queue().give_back(leased.lease);
    }

    async fn nak_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        let mut queue = self.queue();
        if let Some(item) = queue.leased.remove(&leased.lease) {
            let now = Instant::now();
            let due = now.checked_add(delay).unwrap_or(now + LONGEST_DELAY);
            queue.delayed.insert((due, leased.lease), item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::testing::Item;
    use tokio::time::advance;

    const MINUTE: Duration = Duration::from_secs(60);

    fn item(id: &str) -> Item {
        Item::Branch(id.to_owned(), 0)
    }

    async fn lease_id(queue: &impl WorkQueue<(), Item>) -> Option<String> {
        queue.lease().await.unwrap().map(|leased| leased.item.instance_id())
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_item_stays_in_the_queue_until_it_is_due() {
        check_delay(&InMemoryWorkQueue::new()).await;
    }

    async fn check_delay(queue: &impl WorkQueue<(), Item>) {
        queue.enqueue("r", item("a")).await.unwrap();
        let leased = queue.lease().await.unwrap().unwrap();
        queue.nak_after(&leased, MINUTE).await.unwrap();
        queue.enqueue("r", item("a")).await.unwrap();
        queue.enqueue("r", item("b")).await.unwrap();
        assert_eq!(queue.pending_work("r").await.unwrap(), [item("b"), item("a")]);
        assert_eq!(lease_id(queue).await.as_deref(), Some("b"));
        advance(MINUTE - Duration::from_millis(1)).await;
        assert_eq!(lease_id(queue).await, None);
        advance(Duration::from_millis(1)).await;
        assert_eq!(lease_id(queue).await.as_deref(), Some("a"));
        // A lease that has ended cannot be given back again, even with the longest delay.
        queue.nak_after(&leased, Duration::MAX).await.unwrap();
        assert_eq!(lease_id(queue).await, None);
    }

    #[tokio::test]
    async fn purging_removes_waiting_delayed_and_leased_items() {
        async fn purge(queue: &impl WorkQueue<(), Item>) {
            for id in ["a", "b", "c"] {
                queue.enqueue("r", item(id)).await.unwrap();
            }
            queue.enqueue("other", item("a")).await.unwrap();
            let held = queue.lease().await.unwrap().unwrap();
            queue.nak_after(&held, Duration::ZERO).await.unwrap();
            let leased = queue.lease().await.unwrap().unwrap();
            queue.purge_run("r").await.unwrap();
            queue.nak(&leased).await.unwrap();
            assert_eq!(queue.pending_work("r").await.unwrap(), []);
            assert_eq!(queue.dequeue().await.unwrap(), Some(("other".to_owned(), item("a"))));
        }
        purge(&InMemoryWorkQueue::new()).await;
    }
}
