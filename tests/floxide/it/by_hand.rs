//! A workflow and its work items without any macro.

use async_trait::async_trait;
use floxide::{
    distributed::{
        ContextStore, InMemoryContextStore, InMemoryWorkQueue, ItemProcessedOutcome, StepCallbacks, WorkQueue,
    },
    merge::Merge,
    FloxideError, InMemoryCheckpointStore, SharedState, WorkItem, Workflow, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Item {
    Count(String, u32),
    Tell(String, u32),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Count(_, n) => write!(f, "count {n}"),
            Item::Tell(_, n) => write!(f, "tell {n}"),
        }
    }
}

impl WorkItem for Item {
    fn instance_id(&self) -> String {
        match self {
            Item::Count(id, _) | Item::Tell(id, _) => id.clone(),
        }
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Item::Tell(..))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    names: SharedState<Names>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Names(std::collections::BTreeSet<String>);

impl Merge for Names {
    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Merge for Seen {
    fn merge(&mut self, other: Self) {
        self.names.merge(other.names);
    }
}

/// Counts down, and tells that it is done.
#[derive(Debug, Clone)]
pub struct Counting;

#[async_trait]
impl Workflow<Seen> for Counting {
    type Input = u32;
    type Output = String;
    type WorkItem = Item;

    fn name(&self) -> &'static str {
        "counting, by hand"
    }

    fn start_work_item(&self, input: u32) -> Item {
        Item::Count(Uuid::new_v4().to_string(), input)
    }

    async fn process_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<Seen>,
        item: Item,
        queue: &mut VecDeque<Item>,
    ) -> Result<Option<String>, FloxideError> {
        ctx.store.names.get().await.0.insert(item.to_string());
        let id = Uuid::new_v4().to_string();
        match item {
            Item::Count(_, 13) => return Err(FloxideError::Generic("13 brings bad luck".to_string())),
            Item::Count(_, 0) => queue.push_back(Item::Tell(id, 0)),
            Item::Count(_, n) => queue.push_back(Item::Count(id, n - 1)),
            Item::Tell(_, n) => return Ok(Some(format!("done at {n}"))),
        }
        Ok(None)
    }

    fn to_dot(&self) -> &'static str {
        "digraph Counting {\n  Count -> Count;\n  Count -> Tell;\n}\n"
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Told(Mutex<Vec<String>>);

#[async_trait]
impl StepCallbacks<Seen, Counting> for Told {
    async fn on_started(&self, run_id: String, item: Item) -> Result<(), FloxideError> {
        self.0.lock().unwrap().push(format!("{run_id}: {item}"));
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run_id: String,
        _item: Item,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), FloxideError> {
        self.0.lock().unwrap().push(match outcome {
            ItemProcessedOutcome::SuccessTerminal(value) => format!("ended with {value}"),
            ItemProcessedOutcome::SuccessNonTerminal => "went on".to_string(),
            ItemProcessedOutcome::Error(error) => format!("failed: {error}"),
        });
        Ok(())
    }
}

#[tokio::test]
async fn it_runs_in_one_task() {
    let ctx = WorkflowCtx::new(Seen::default());
    assert_eq!(Counting.run(&ctx, 2).await.unwrap(), "done at 0");
    assert_eq!(ctx.store.names.get().await.0.len(), 4);
    assert!(matches!(Counting.run(&ctx, 14).await, Err(FloxideError::Generic(_))));
}

#[tokio::test]
async fn it_runs_with_checkpoints() {
    let (ctx, store) = (WorkflowCtx::new(Seen::default()), InMemoryCheckpointStore::default());
    assert_eq!(Counting.run_with_checkpoint(&ctx, 1, &store, "by hand/1").await.unwrap(), "done at 0");
    assert!(matches!(Counting.resume(&store, "by hand/1").await, Err(FloxideError::AlreadyCompleted)));
    assert!(matches!(Counting.resume(&store, "by hand/2").await, Err(FloxideError::NotStarted)));
}

#[tokio::test]
async fn it_runs_step_by_step_over_stores() {
    let (contexts, queue) = (InMemoryContextStore::default(), InMemoryWorkQueue::new());
    let told = Arc::new(Told::default());
    let ctx = WorkflowCtx::new(Seen::default());
    Counting.start_distributed(&ctx, 1, &contexts, &queue, "r1").await.unwrap();
    // Starting it again is no second run, though the item has made up another id.
    Counting.start_distributed(&ctx, 1, &contexts, &queue, "r1").await.unwrap();
    let pending = WorkQueue::<Seen, Item>::pending_work(&queue, "r1").await.unwrap();
    assert!(matches!(pending[..], [Item::Count(_, 1)]));
    let mut ended = None;
    for _ in 0..3 {
        assert_eq!(ended, None);
        ended = Counting.step_distributed(&contexts, &queue, 0, told.clone()).await.unwrap();
    }
    assert_eq!(ended, Some(("r1".to_string(), "done at 0".to_string())));
    assert_eq!(contexts.get("r1").await.unwrap().unwrap().names.get().await.0.len(), 3);
    let told = told.0.lock().unwrap();
    assert_eq!(told[..2], ["r1: count 1", "went on"]);
    assert_eq!(told[4..], ["r1: tell 0", r#"ended with "done at 0""#]);
}

#[tokio::test]
async fn its_failures_name_the_run_and_the_item() {
    let (contexts, queue) = (InMemoryContextStore::default(), InMemoryWorkQueue::new());
    let told = Arc::new(Told::default());
    let ctx = WorkflowCtx::new(Seen::default());
    Counting.start_distributed(&ctx, 13, &contexts, &queue, "r2").await.unwrap();
    let failed = Counting.step_distributed(&contexts, &queue, 0, told.clone()).await.unwrap_err();
    assert_eq!(failed.run_id.as_deref(), Some("r2"));
    assert!(matches!(failed.work_item, Some(Item::Count(_, 13))));
    assert_eq!(failed.error.to_string(), "Generic error: 13 brings bad luck");
    assert_eq!(told.0.lock().unwrap()[1], "failed: Generic error: 13 brings bad luck");
}
