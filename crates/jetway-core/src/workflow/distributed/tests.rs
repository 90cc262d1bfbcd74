//! What a step promises by itself, without a worker around it.

use crate::{
    Context, Counter, Error, StepCallbacks, WorkItem, WorkQueue, Workflow, WorkflowCtx,
    distributed::{
        ContextStore, InMemoryContextStore, InMemoryWorkQueue, ItemProcessedOutcome, Leased, WorkQueueError,
        testing::{Fan, Item, started},
    },
    run::Status,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::advance;

/// Notes what it is told. Refuses to start anything so many times.
#[derive(Default)]
struct Noted(Mutex<Vec<String>>, AtomicU32);

#[async_trait]
impl<C: Context, W: Workflow<C, WorkItem: 'static>> StepCallbacks<C, W> for Noted {
    async fn on_started(&self, _run: String, item: W::WorkItem) -> Result<(), Error> {
        let refusals = self.1.load(Relaxed);
        if refusals > 0 {
            self.1.store(refusals - 1, Relaxed);
            return Err(Error::Storage("not now".to_owned()));
        }
        self.0.lock().unwrap().push(format!("started {item}"));
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run: String,
        item: W::WorkItem,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        self.0.lock().unwrap().push(format!("{item}: {outcome:?}"));
        Ok(())
    }
}

/// A queue that takes nothing in so many times.
#[derive(Clone, Default)]
struct Full(InMemoryWorkQueue<Item>, Arc<AtomicU32>);

type Inner = InMemoryWorkQueue<Item>;

#[async_trait]
impl WorkQueue<Counter, Item> for Full {
    async fn enqueue(&self, run: &str, work: Item) -> Result<(), WorkQueueError> {
        let refusals = self.1.load(Relaxed);
        if refusals > 0 {
            self.1.store(refusals - 1, Relaxed);
            return Err(WorkQueueError::Io("full".to_owned()));
        }
        <Inner as WorkQueue<Counter, Item>>::enqueue(&self.0, run, work).await
    }

    async fn dequeue(&self) -> Result<Option<(String, Item)>, WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::dequeue(&self.0).await
    }

    async fn purge_run(&self, run: &str) -> Result<(), WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::purge_run(&self.0, run).await
    }

    async fn pending_work(&self, run: &str) -> Result<Vec<Item>, WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::pending_work(&self.0, run).await
    }

    async fn lease(&self) -> Result<Option<Leased<Item>>, WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::lease(&self.0).await
    }

    async fn settle(&self, leased: &Leased<Item>) -> Result<(), WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::settle(&self.0, leased).await
    }

    async fn give_back(&self, leased: &Leased<Item>) -> Result<(), WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::give_back(&self.0, leased).await
    }

    async fn give_back_after(&self, leased: &Leased<Item>, delay: Duration) -> Result<(), WorkQueueError> {
        <Inner as WorkQueue<Counter, Item>>::give_back_after(&self.0, leased, delay).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_was_committed_and_not_queued_is_queued_later_and_not_executed_again() {
    let (contexts, queue, fan) = (InMemoryContextStore::new(), Full::default(), Fan::new());
    let told = Arc::new(Noted::default());
    fan.start_distributed(&started(), 2, &contexts, &queue, "r").await.unwrap();
    // The first branch gets into the queue, the second does not.
    queue.1.store(1, Relaxed);
    let step = || fan.step_distributed(&contexts, &queue, 0, Arc::clone(&told) as _);
    let failed = step().await.unwrap_err();
    assert_eq!(failed.run_id.as_deref(), Some("r"));
    assert!(failed.to_string().contains("full"));
    advance(Duration::from_secs(1)).await;
    let mut ended = None;
    for _ in 0..4 {
        ended = ended.or(step().await.unwrap());
    }
    assert_eq!(ended, Some(("r".to_owned(), 0)));
    assert_eq!(fan.calls().len(), 3);
    assert_eq!(contexts.get("r").await.unwrap().map(|context: Counter| context.get()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_refused_is_not_executed_and_comes_again() {
    let (contexts, queue, fan) = (InMemoryContextStore::new(), Full::default(), Fan::new());
    let told = Arc::new(Noted(Mutex::default(), AtomicU32::new(1)));
    fan.start_distributed(&started(), 1, &contexts, &queue, "r").await.unwrap();
    let step = || fan.step_distributed(&contexts, &queue, 0, Arc::clone(&told) as _);
    assert!(step().await.unwrap_err().to_string().contains("not now"));
    assert_eq!(step().await.unwrap(), None);
    assert_eq!(fan.calls().len(), 0);
    advance(Duration::from_secs(1)).await;
    step().await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), ["started start 1", "start 1: SuccessNonTerminal"]);
}

#[tokio::test]
async fn without_an_answer_to_the_contrary_a_failure_is_committed() {
    let (contexts, queue, fan) = (InMemoryContextStore::new(), Full::default(), Fan::failing(1));
    let told = Arc::new(Noted::default());
    fan.start_distributed(&started(), 1, &contexts, &queue, "r").await.unwrap();
    let failed = fan.step_distributed(&contexts, &queue, 0, Arc::clone(&told) as _).await.unwrap_err();
    assert!(matches!(failed.error, Error::Generic(_)));
    let (snapshot, _) = ContextStore::<Counter>::snapshot(&contexts, "r").await.unwrap().unwrap();
    assert_eq!(snapshot.status, Status::Failed);
    assert!(told.0.lock().unwrap()[1].starts_with("start 1: Error("));
    assert_eq!(queue.pending_work("r").await.unwrap(), []);
}

/// A value that cannot be encoded.
#[derive(Debug, Deserialize)]
struct Unfit;

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("too odd"))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Only(String);

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl WorkItem for Only {
    fn instance_id(&self) -> String {
        self.0.clone()
    }

    fn with_instance_id(self, id: String) -> Self {
        Self(id)
    }

    fn is_terminal(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct Odd;

#[async_trait]
impl Workflow<Counter> for Odd {
    type Input = ();
    type Output = Unfit;
    type WorkItem = Only;

    fn name(&self) -> &'static str {
        "odd"
    }

    fn start_work_item(&self, (): ()) -> Only {
        Only("start".to_owned())
    }

    fn to_dot(&self) -> &'static str {
        ""
    }

    async fn process_work_item<'a>(
        &'a self,
        _ctx: &'a WorkflowCtx<Counter>,
        _item: Only,
        _queue: &mut VecDeque<Only>,
    ) -> Result<Option<Unfit>, Error> {
        Ok(Some(Unfit))
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_encoded_fails_the_run_and_does_not_go_round_for_ever() {
    let (contexts, queue) = (InMemoryContextStore::new(), InMemoryWorkQueue::new());
    Odd.start_distributed(&started(), (), &contexts, &queue, "r").await.unwrap();
    let failed = Odd.step_distributed(&contexts, &queue, 0, Arc::new(Noted::default())).await.unwrap_err();
    assert!(failed.to_string().contains("too odd"), "{failed}");
    let (snapshot, _) = ContextStore::<Counter>::snapshot(&contexts, "r").await.unwrap().unwrap();
    assert_eq!((snapshot.status, snapshot.error.unwrap().kind.as_str()), (Status::Failed, "codec"));
}
