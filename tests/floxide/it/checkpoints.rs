//! Checkpoints: the store in memory, and one of the user's own.

use async_trait::async_trait;
use floxide::{
    checkpoint::{Checkpoint, CheckpointError, CheckpointStore, InMemoryCheckpointStore},
    context::Context,
    node, workflow, FloxideError, SharedState, Transition, WorkItem, Workflow, WorkflowCtx,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Count {
    steps: SharedState<u32>,
}

/// Fails as long as it is told to.
static BROKEN: AtomicBool = AtomicBool::new(true);

node! {
    pub struct First {};
    context = Count;
    input = u32;
    output = u32;
    |ctx, x| {
        *ctx.steps.get().await += 1;
        Ok(Transition::Next(x + 1))
    }
}

node! {
    pub struct Second { breaks: bool };
    context = Count;
    input = u32;
    output = u32;
    |ctx, x| {
        if self.breaks && BROKEN.swap(false, Ordering::SeqCst) {
            return Err(FloxideError::Generic("broken".to_string()));
        }
        *ctx.steps.get().await += 1;
        Ok(Transition::Next(x * 10))
    }
}

workflow! {
    pub struct Two { first: First, second: Second }
    start = first;
    context = Count;
    edges { first => [second]; second => []; }
}

/// Checkpoints as JSON.
#[derive(Clone, Default)]
pub struct JsonStore(Arc<Mutex<HashMap<String, String>>>);

#[async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for JsonStore {
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let json =
            serde_json::to_string(checkpoint).map_err(|error| CheckpointError::Store(error.to_string()))?;
        self.0.lock().unwrap().insert(workflow_id.to_string(), json);
        Ok(())
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let saved = self.0.lock().unwrap().get(workflow_id).cloned();
        saved
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|error| CheckpointError::Store(error.to_string()))
    }
}

#[tokio::test]
async fn a_run_goes_on_where_it_failed() {
    let store = JsonStore::default();
    let two = Two { first: First {}, second: Second { breaks: true } };
    let ctx = WorkflowCtx::new(Count::default());
    let failed = two.run_with_checkpoint(&ctx, 4, &store, "run").await;
    assert!(matches!(failed, Err(FloxideError::Generic(why)) if why == "broken"));
    let saved: Checkpoint<Count, TwoWorkItem> = store.load("run").await.unwrap().unwrap();
    assert_eq!(saved.queue.len(), 1);
    assert!(matches!(saved.queue[0], TwoWorkItem::Second(_, 5)));
    assert_eq!(*saved.context.steps.get().await, 1);
    assert_eq!(two.resume(&store, "run").await.unwrap(), 50);
}

#[tokio::test]
async fn a_run_that_has_ended_is_not_resumed() {
    let store = InMemoryCheckpointStore::new();
    let two = Two { first: First {}, second: Second { breaks: false } };
    let ctx = WorkflowCtx::new(Count::default());
    assert!(matches!(two.resume(&store, "run").await, Err(FloxideError::NotStarted)));
    assert_eq!(two.run_with_checkpoint(&ctx, 1, &store.clone(), "run").await.unwrap(), 20);
    assert!(matches!(two.resume(&store, "run").await, Err(FloxideError::AlreadyCompleted)));
    // A checkpoint wins over the input.
    assert_eq!(two.run_with_checkpoint(&ctx, 9, &store, "run").await.unwrap(), 20);
}

/// Checkpoints in parts, as a store with a table or a key for each would keep them.
#[derive(Clone, Default)]
pub struct PartStore {
    parts: Arc<Mutex<HashMap<String, [String; 3]>>>,
    /// Drops the snapshot, as a store that knows only context and queue does.
    forgets: bool,
}

#[async_trait]
impl<C: Context, WI: WorkItem> CheckpointStore<C, WI> for PartStore {
    async fn save(&self, workflow_id: &str, checkpoint: &Checkpoint<C, WI>) -> Result<(), CheckpointError> {
        let parts = [
            serde_json::to_string(&checkpoint.context),
            serde_json::to_string(&checkpoint.queue),
            serde_json::to_string(&checkpoint.snapshot),
        ];
        let parts = parts.map(|json| json.expect("JSON"));
        self.parts.lock().unwrap().insert(workflow_id.to_string(), parts);
        Ok(())
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<Checkpoint<C, WI>>, CheckpointError> {
        let Some([context, queue, snapshot]) = self.parts.lock().unwrap().get(workflow_id).cloned() else {
            return Ok(None);
        };
        let said = |error: serde_json::Error| CheckpointError::Store(error.to_string());
        let context = serde_json::from_str(&context).map_err(said)?;
        let queue = serde_json::from_str(&queue).map_err(said)?;
        Ok(Some(match serde_json::from_str(&snapshot).map_err(said)? {
            Some(snapshot) if !self.forgets => Checkpoint::with_snapshot(context, queue, snapshot),
            _ => Checkpoint::new(context, queue),
        }))
    }
}

#[tokio::test]
async fn a_store_of_checkpoint_parts_keeps_the_snapshot() {
    let two = Two { first: First {}, second: Second { breaks: false } };
    let ctx = WorkflowCtx::new(Count::default());
    let store = PartStore::default();
    assert_eq!(two.run_with_checkpoint(&ctx, 1, &store, "run").await.unwrap(), 20);
    // The output is part of the snapshot.
    assert_eq!(two.run_with_checkpoint(&ctx, 9, &store, "run").await.unwrap(), 20);
    let forgets = PartStore { forgets: true, ..store };
    let again = two.run_with_checkpoint(&ctx, 9, &forgets, "run").await;
    assert!(matches!(again, Err(FloxideError::AlreadyCompleted)), "{again:?}");
}

#[tokio::test]
async fn a_checkpoint_made_by_hand_is_a_place_to_begin() {
    let store = JsonStore::default();
    let two = Two { first: First {}, second: Second { breaks: false } };
    let queue = VecDeque::from([TwoWorkItem::Second("mine".to_string(), 7)]);
    store.save("run", &Checkpoint::new(Count::default(), queue)).await.unwrap();
    let ctx = WorkflowCtx::new(Count::default());
    assert_eq!(two.run_with_checkpoint(&ctx, 1, &store, "run").await.unwrap(), 70);
}
