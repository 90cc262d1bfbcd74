//! Where work items wait.

use super::{Stores, workflows::LineWorkItem};
use crate::{conformance::DEADLINE, wait_until};
use futures::future::{join_all, try_join_all};
use jetway_core::{
    WorkItem as _,
    distributed::{Leased, WorkQueue},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Sooner than any lease ends.
const SOON: Duration = Duration::from_secs(5);

/// A queue whose context does not matter.
trait Queue: WorkQueue<(), LineWorkItem> {}
impl<Q: WorkQueue<(), LineWorkItem>> Queue for Q {}

fn item(id: &str) -> LineWorkItem {
    LineWorkItem::One(id.to_owned(), 0)
}

fn queue<S: Stores>(stores: &S) -> impl Queue + use<S> {
    stores.queue::<(), LineWorkItem>()
}

async fn add(queue: &impl Queue, run: &str, ids: &[&str]) {
    for id in ids {
        queue.enqueue(run, item(id)).await.unwrap();
    }
}

/// The next item.
async fn next(queue: &impl Queue) -> Leased<LineWorkItem> {
    wait_until("an item comes", DEADLINE, async || queue.lease().await.unwrap()).await
}

/// The run and the id of the next item.
async fn next_id(queue: &impl Queue) -> (String, String) {
    let leased = next(queue).await;
    (leased.run_id, leased.item.instance_id())
}

async fn pending(queue: &impl Queue, run: &str) -> Vec<String> {
    queue.pending_work(run).await.unwrap().iter().map(|item| item.instance_id()).collect()
}

/// Items come in the order in which they were added, over all runs.
pub(super) async fn items_come_in_order_over_all_runs<S: Stores>(stores: S) {
    let queue = queue(&stores);
    assert!(queue.lease().await.unwrap().is_none());
    for (run, id) in [("r1", "a"), ("r2", "a"), ("r1", "b"), ("r3", "c")] {
        add(&queue, run, &[id]).await;
    }
    assert_eq!(pending(&queue, "r1").await, ["a", "b"]);
    for (run, id) in [("r1", "a"), ("r2", "a"), ("r1", "b"), ("r3", "c")] {
        assert_eq!(next_id(&queue).await, (run.to_owned(), id.to_owned()));
    }
    assert!(queue.lease().await.unwrap().is_none());
}

/// An item that waits is there once for its run and its id.
pub(super) async fn an_item_that_waits_is_there_once<S: Stores>(stores: S) {
    let (one, other) = (queue(&stores), queue(&stores.another().await));
    add(&one, "r1", &["a"]).await;
    add(&other, "r1", &["a"]).await;
    assert_eq!(pending(&one, "r1").await, ["a"]);
    let leased = next(&one).await;
    one.ack(&leased).await.unwrap();
    assert!(other.lease().await.unwrap().is_none());
    assert!(pending(&other, "r1").await.is_empty());
    // It lives no more, so that it may come again.
    add(&other, "r1", &["a"]).await;
    assert_eq!(next_id(&one).await.1, "a");
}

/// An item that is leased is in the queue until it is settled; one that is dequeued is not.
pub(super) async fn an_item_that_is_leased_is_pending<S: Stores>(stores: S) {
    let (one, other) = (queue(&stores), queue(&stores.another().await));
    add(&one, "r1", &["a", "b"]).await;
    let leased = next(&one).await;
    for queue in [&one, &other] {
        assert_eq!(pending(queue, "r1").await, ["a", "b"]);
    }
    one.nak(&leased).await.unwrap();
    assert_eq!(pending(&other, "r1").await, ["a", "b"]);
    let leased = next(&one).await;
    one.ack(&leased).await.unwrap();
    assert_eq!(pending(&other, "r1").await, ["b"]);
    other.dequeue().await.unwrap().unwrap();
    assert!(pending(&one, "r1").await.is_empty());
}

/// What is dequeued is gone for good.
pub(super) async fn what_is_dequeued_is_gone<S: Stores>(stores: S) {
    let queue = queue(&stores);
    add(&queue, "r1", &["a"]).await;
    assert_eq!(queue.dequeue().await.unwrap(), Some(("r1".to_owned(), item("a"))));
    assert!(pending(&queue, "r1").await.is_empty());
    assert_eq!(queue.dequeue().await.unwrap(), None);
}

/// A run that nobody knows has no items, which is no error.
pub(super) async fn an_unknown_run_has_no_items<S: Stores>(stores: S) {
    let queue = queue(&stores);
    assert!(pending(&queue, "r1").await.is_empty());
    queue.purge_run("r1").await.unwrap();
}

/// A purge takes what waits, what is held back and what is leased, of that run alone.
pub(super) async fn a_run_is_purged_alone<S: Stores>(stores: S) {
    let queue = queue(&stores);
    add(&queue, "r1", &["a", "b", "c"]).await;
    add(&queue, "r2", &["a", "b"]).await;
    let held = next(&queue).await;
    queue.nak_after(&held, Duration::ZERO).await.unwrap();
    let leased = next(&queue).await;
    queue.purge_run("r1").await.unwrap();
    // Whoever holds one of them cannot bring it back, and is not kept waiting.
    let began = Instant::now();
    queue.nak(&leased).await.unwrap();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(pending(&queue, "r1").await.is_empty());
    assert_eq!(pending(&queue, "r2").await, ["a", "b"]);
    for id in ["a", "b"] {
        assert_eq!(next_id(&queue).await, ("r2".to_owned(), id.to_owned()));
    }
    assert!(queue.lease().await.unwrap().is_none());
}

/// What is given back comes at once or after its time, and is in the queue all the while.
pub(super) async fn what_is_given_back_comes_at_once_or_after_its_time<S: Stores>(stores: S) {
    let queue = queue(&stores);
    add(&queue, "r", &["a"]).await;
    let first = next(&queue).await;
    assert!(queue.lease().await.unwrap().is_none(), "a leased item is nobody else's");
    let began = Instant::now();
    queue.nak(&first).await.unwrap();
    let second = next(&queue).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let (delay, began) = (Duration::from_millis(700), Instant::now());
    queue.nak_after(&second, delay).await.unwrap();
    assert_eq!(pending(&queue, "r").await, ["a"]);
    add(&queue, "r", &["b"]).await;
    assert_eq!(next_id(&queue).await.1, "b");
    assert_eq!(next_id(&queue).await.1, "a");
    // Whoever keeps the time counts from when it heard of it, in milliseconds of its own.
    assert!(began.elapsed() >= delay - Duration::from_millis(20), "{:?}", began.elapsed());
}

/// Each item is handed out once among many who take them.
pub(super) async fn each_item_is_handed_out_once<S: Stores>(stores: S) {
    const ITEMS: usize = 300;
    let (one, other) = (queue(&stores), queue(&stores.another().await));
    try_join_all((0..ITEMS).map(|n| one.enqueue("r", item(&format!("i{n}"))))).await.unwrap();
    assert_eq!(pending(&one, "r").await.len(), ITEMS);
    let taking = (0..6).map(|n| {
        let queue = if n % 2 == 0 { &one } else { &other };
        async move {
            let mut taken = Vec::new();
            while let Some(leased) = queue.lease().await.unwrap() {
                queue.ack(&leased).await.unwrap();
                taken.push(leased.item.instance_id());
            }
            taken
        }
    });
    let taken = join_all(taking).await.concat();
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (ITEMS, ITEMS));
    assert!(pending(&one, "r").await.is_empty());
}
