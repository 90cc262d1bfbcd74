//! Steps without a worker, beyond what the conformance suite checks for all stores.

use crate::{
    Counter, StepCallbacks, WorkItem, WorkQueue, Workflow, WorkflowCtx,
    stores::{ContextStore, InMemoryContextStore, InMemoryWorkQueue},
    workers::testing::{PlainContexts, started},
    workflow::callbacks::ItemProcessedOutcome,
};
use async_trait::async_trait;
use jetway_state::{Error, run::Status};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

/// Records the outcome of each item.
#[derive(Default)]
struct RecordingCallbacks(Mutex<Vec<ItemProcessedOutcome>>);

#[async_trait]
impl StepCallbacks<Counter, Odd> for RecordingCallbacks {
    async fn on_started(&self, _run: String, _item: Only) -> Result<(), Error> {
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run: String,
        _item: Only,
        outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        self.0.lock().unwrap().push(outcome);
        Ok(())
    }
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
        ctx: &'a WorkflowCtx<Counter>,
        _item: Only,
        _queue: &mut VecDeque<Only>,
    ) -> Result<Option<Unfit>, Error> {
        ctx.store.increment();
        Ok(Some(Unfit))
    }
}

#[tokio::test]
async fn an_output_that_cannot_be_encoded_fails_the_run() {
    let (contexts, queue) = (InMemoryContextStore::new(), InMemoryWorkQueue::new());
    Odd.start_distributed(&started(), (), &contexts, &queue, "r").await.unwrap();
    let failed = Odd
        .step_distributed(&contexts, &queue, 0, Arc::new(RecordingCallbacks::default()))
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("too odd"), "{failed}");
    let (snapshot, _) = ContextStore::<Counter>::snapshot(&contexts, "r").await.unwrap().unwrap();
    assert_eq!((snapshot.status, snapshot.error.unwrap().kind.as_str()), (Status::Failed, "codec"));
}

#[tokio::test]
async fn without_snapshots_a_failed_step_merges_nothing() {
    let (contexts, queue, callbacks) =
        (PlainContexts::default(), InMemoryWorkQueue::new(), Arc::new(RecordingCallbacks::default()));
    Odd.start_distributed(&started(), (), &contexts, &queue, "r").await.unwrap();
    let failed = Odd.step_distributed(&contexts, &queue, 0, callbacks.clone()).await.unwrap_err();
    assert!(failed.to_string().contains("too odd"), "{failed}");
    let outcomes = callbacks.0.lock().unwrap().clone();
    assert!(
        matches!(&outcomes[..], [ItemProcessedOutcome::Error(error)] if error.kind() == "codec"),
        "{outcomes:?}"
    );
    assert_eq!(contexts.get("r").await.unwrap().unwrap().get(), 0);
    assert_eq!(WorkQueue::<Counter, Only>::pending_work(&queue, "r").await.unwrap(), []);
}
