//! What a step promises by itself, without a worker around it. What holds for every store is in the conformance suite.

use crate::{
    Counter, Error, StepCallbacks, WorkItem, Workflow, WorkflowCtx,
    distributed::{
        ContextStore, InMemoryContextStore, InMemoryWorkQueue, ItemProcessedOutcome, testing::started,
    },
    run::Status,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};
use std::{collections::VecDeque, fmt, sync::Arc};

/// Is told nothing.
struct Quiet;

#[async_trait]
impl StepCallbacks<Counter, Odd> for Quiet {
    async fn on_started(&self, _run: String, _item: Only) -> Result<(), Error> {
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run: String,
        _item: Only,
        _: ItemProcessedOutcome,
    ) -> Result<(), Error> {
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
    let failed = Odd.step_distributed(&contexts, &queue, 0, Arc::new(Quiet)).await.unwrap_err();
    assert!(failed.to_string().contains("too odd"), "{failed}");
    let (snapshot, _) = ContextStore::<Counter>::snapshot(&contexts, "r").await.unwrap().unwrap();
    assert_eq!((snapshot.status, snapshot.error.unwrap().kind.as_str()), (Status::Failed, "codec"));
}
