//! Where work items wait for workers.

use crate::{Context, WorkItem};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What goes wrong with a work queue.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkQueueError {
    /// The queue could not be read or written.
    #[error("I/O error: {0}")]
    Io(String),
    /// There is nothing in the queue.
    #[error("Queue is empty")]
    Empty,
    /// Anything else.
    #[error("Other error: {0}")]
    Other(String),
}

impl From<WorkQueueError> for jetway_state::Error {
    fn from(error: WorkQueueError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A work item that was taken under a lease.
#[derive(Debug, Clone)]
pub struct Leased<WI> {
    /// The run.
    pub run_id: String,
    /// The item.
    pub item: WI,
    /// What the queue knows the lease by; 0 where the queue has none and the item is gone from it.
    pub lease: u64,
}

/// Keeps work items until workers take them.
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
/// async fn look<Q: WorkQueue<(), Item>>(queue: Q) -> Result<(), WorkQueueError> {
///     queue.enqueue("r1", Item("start".into())).await?;
///     let leased = queue.lease().await?.expect("an item waits");
///     // Not now: it stays in the queue, and nobody takes it within the next minute.
///     queue.nak_after(&leased, Duration::from_secs(60)).await?;
///     assert!(queue.lease().await?.is_none());
///     assert_eq!(queue.pending_work("r1").await?, [Item("start".into())]);
///     Ok(())
/// }
/// look(InMemoryWorkQueue::new()).await
/// # }).unwrap();
/// ```
///
/// The first four methods make a queue. With leases, an item that a lost worker had taken comes back.
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
/// /// Takes one item, and gives it back.
/// async fn look(queue: &impl WorkQueue<(), DoublingWorkItem>) -> Result<Option<String>, WorkQueueError> {
///     let Some(leased) = queue.lease().await? else { return Ok(None) };
///     queue.nak(&leased).await?;
///     Ok(Some(format!("{}: {}", leased.run_id, leased.item)))
/// }
///
/// let queue = InMemoryWorkQueue::new();
/// let item = Doubling { double: Double }.start_work_item(21);
/// WorkQueue::<(), _>::enqueue(&queue, "run-1", item).await?;
/// assert_eq!(look(&queue).await?.as_deref(), Some("run-1: Double(21)"));
/// assert_eq!(WorkQueue::<(), _>::pending_work(&queue, "run-1").await?.len(), 1);
/// # Ok::<_, WorkQueueError>(()) }).expect("the queue is in memory");
/// # }
/// ```
#[async_trait]
pub trait WorkQueue<C: Context, WI: WorkItem>: Clone + Send + Sync + 'static {
    /// Adds an item; one that waits under the same run and id need not be there twice.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn enqueue(&self, workflow_id: &str, work: WI) -> Result<(), WorkQueueError>;

    /// Takes an item out for good; `None` where none waits.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn dequeue(&self) -> Result<Option<(String, WI)>, WorkQueueError>;

    /// Removes the items of a run.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn purge_run(&self, run_id: &str) -> Result<(), WorkQueueError>;

    /// The items of a run that are in the queue: those that wait, those held back, and those that are leased, as long as
    /// they are not settled. Each id is there once; none where the run is not known.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError>;

    /// Takes an item under a lease: it comes back when it is not settled. A queue without leases takes it out.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn lease(&self) -> Result<Option<Leased<WI>>, WorkQueueError> {
        let taken = self.dequeue().await?;
        Ok(taken.map(|(run_id, item)| Leased { run_id, item, lease: 0 }))
    }

    /// Settles a leased item: it is gone from the queue.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn ack(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        let _taken_out_already = leased;
        Ok(())
    }

    /// Gives a leased item back, to be taken again at once.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn nak(&self, leased: &Leased<WI>) -> Result<(), WorkQueueError> {
        if leased.lease == 0 { self.enqueue(&leased.run_id, leased.item.clone()).await } else { Ok(()) }
    }

    /// Is told that nobody holds a lease any more: the future of its step was dropped, so that nothing can be awaited.
    /// The item is to be taken again soon. Does nothing for a lease that has ended. A queue that does nothing here has to
    /// end its leases by itself; one without leases has lost the item.
    fn abandon(&self, leased: &Leased<WI>) {
        let _the_lease_ends_by_itself = leased;
    }

    /// Gives a leased item back, to be taken again after `delay`. The item is in the queue all the while, under the
    /// same id: a process that is lost meanwhile takes nothing with it.
    ///
    /// A queue that cannot hold an item back gives it back at once, and then waits here, so that the caller at least
    /// does not take it again before.
    ///
    /// # Errors
    /// What the queue failed with.
    async fn nak_after(&self, leased: &Leased<WI>, delay: Duration) -> Result<(), WorkQueueError> {
        self.nak(leased).await?;
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Work items in memory, first in, first out over all runs. Clones share the queue. A lease ends when it is settled, given
/// back or [abandoned](WorkQueue::abandon), and lasts as long as its step: a worker that is lost otherwise takes the
/// process and its queue with it.
pub struct InMemoryWorkQueue<WI: WorkItem>(Arc<Mutex<Queue<WI>>>);

/// Stands for a delay that no clock can carry.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

struct Queue<WI> {
    waiting: VecDeque<(String, WI)>,
    /// By when they may be taken, and by the lease under which they were given back.
    held_back: BTreeMap<(Instant, u64), (String, WI)>,
    leased: BTreeMap<u64, (String, WI)>,
    leases: u64,
}

impl<WI: WorkItem> Queue<WI> {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), held_back: BTreeMap::new(), leased: BTreeMap::new(), leases: 0 }
    }

    fn take(&mut self) -> Option<(String, WI)> {
        let now = Instant::now();
        while let Some(first) = self.held_back.first_entry().filter(|first| first.key().0 <= now) {
            self.waiting.push_back(first.remove());
        }
        self.waiting.pop_front()
    }

    /// Ends a lease whose item is to be taken again at once.
    fn give_back(&mut self, lease: u64) {
        if let Some(item) = self.leased.remove(&lease) {
            self.waiting.push_front(item);
        }
    }

    fn kept(&self) -> impl Iterator<Item = &(String, WI)> {
        self.waiting.iter().chain(self.held_back.values())
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
        if !queue.kept().any(known) {
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
        queue.held_back.retain(|_, (run, _)| run != run_id);
        queue.leased.retain(|_, (run, _)| run != run_id);
        Ok(())
    }

    async fn pending_work(&self, run_id: &str) -> Result<Vec<WI>, WorkQueueError> {
        let queue = self.queue();
        let mut seen = BTreeSet::new();
        let all = queue.leased.values().chain(queue.kept());
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
            let due = now.checked_add(delay).unwrap_or(now + FAR);
            queue.held_back.insert((due, leased.lease), item);
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

    async fn taken(queue: &impl WorkQueue<(), Item>) -> Option<String> {
        queue.lease().await.unwrap().map(|leased| leased.item.instance_id())
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_item_stays_in_the_queue_until_it_is_due() {
        held_back(&InMemoryWorkQueue::new()).await;
    }

    async fn held_back(queue: &impl WorkQueue<(), Item>) {
        queue.enqueue("r", item("a")).await.unwrap();
        let leased = queue.lease().await.unwrap().unwrap();
        queue.nak_after(&leased, MINUTE).await.unwrap();
        queue.enqueue("r", item("a")).await.unwrap();
        queue.enqueue("r", item("b")).await.unwrap();
        assert_eq!(queue.pending_work("r").await.unwrap(), [item("b"), item("a")]);
        assert_eq!(taken(queue).await.as_deref(), Some("b"));
        advance(MINUTE - Duration::from_millis(1)).await;
        assert_eq!(taken(queue).await, None);
        advance(Duration::from_millis(1)).await;
        assert_eq!(taken(queue).await.as_deref(), Some("a"));
        // Given back twice is given back once, also for as long as no clock can tell.
        queue.nak_after(&leased, Duration::MAX).await.unwrap();
        assert_eq!(taken(queue).await, None);
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
