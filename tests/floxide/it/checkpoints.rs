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

#[tokio::test]
async fn a_checkpoint_made_by_hand_is_a_place_to_begin() {
    let store = JsonStore::default();
    let two = Two { first: First {}, second: Second { breaks: false } };
    let queue = VecDeque::from([TwoWorkItem::Second("mine".to_string(), 7)]);
    store.save("run", &Checkpoint::new(Count::default(), queue)).await.unwrap();
    let ctx = WorkflowCtx::new(Count::default());
    assert_eq!(two.run_with_checkpoint(&ctx, 1, &store, "run").await.unwrap(), 70);
}
