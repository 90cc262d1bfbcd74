//! Cases in which a step fails outside of its node: the same answer as on hosts, see `conformance::pipeline`.

use super::Stores;
use crate::conformance::pipeline::{Endless, Fault, LIMIT, Odd};
use async_trait::async_trait;
use jetway_core::{
    Context, ContextStore as _, Merge, StepCallbacks, StepError, Workflow, WorkflowCtx,
    distributed::ItemProcessedOutcome,
};
use jetway_state::{
    Error,
    run::{Snapshot, Status},
};
use std::{sync::Arc, time::Duration};

/// Callbacks that give each attempt a limit.
struct Limited;

#[async_trait]
impl<C: Context, W: Workflow<C, WorkItem: 'static>> StepCallbacks<C, W> for Limited {
    async fn on_started(&self, _run_id: String, _item: W::WorkItem) -> Result<(), Error> {
        Ok(())
    }

    async fn on_item_processed(
        &self,
        _run_id: String,
        _item: W::WorkItem,
        _outcome: ItemProcessedOutcome,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn step_timeout(&self) -> Option<Duration> {
        Some(LIMIT)
    }
}

type Step<C, W> =
    Result<Option<(String, <W as Workflow<C>>::Output)>, StepError<<W as Workflow<C>>::WorkItem>>;

async fn start<S: Stores, C, W>(stores: &S, workflow: &W, input: W::Input)
where
    C: Context + Merge + 'static,
    W: Workflow<C, WorkItem: 'static>,
{
    let (ctx, contexts, queue) = (WorkflowCtx::new(C::default()), stores.contexts(), stores.queue());
    workflow.start_distributed(&ctx, input, &contexts, &queue, "r").await.expect("the run is started");
}

async fn step<S: Stores, C, W>(stores: &S, workflow: &W) -> Step<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C, WorkItem: 'static>,
{
    workflow.step_distributed(&stores.contexts(), &stores.queue(), 0, Arc::new(Limited)).await
}

async fn record<S: Stores, C: Context + Merge + 'static>(stores: &S) -> Snapshot {
    let found = stores.contexts::<C>().snapshot("r").await.expect("the record can be read");
    found.expect("the run has a record").0
}

/// Runs the first step of [`Odd`], then its two branches at the same time. Returns the record.
async fn odd<S: Stores>(stores: &S, fault: Fault) -> Snapshot {
    let workflow = Odd::new();
    start(stores, &workflow, fault).await;
    assert!(step(stores, &workflow).await.expect("the first step is done").is_none());
    let (one, other) = tokio::join!(step(stores, &workflow), step(stores, &workflow));
    assert!(one.is_err() || other.is_err(), "{one:?} {other:?}");
    record::<S, super::super::pipeline::OddContext>(stores).await
}

fn assert_failed(record: &Snapshot, kind: &str, message: &str) {
    let error = record.error.as_ref().expect("the run has failed");
    assert_eq!((record.status, error.kind.as_str()), (Status::Failed, kind), "{error:?}");
    assert!(error.message.contains(message), "{error:?}");
}

/// Changes that cannot be merged fail the run.
pub(super) async fn a_change_that_cannot_be_merged_fails<S: Stores>(stores: S) {
    assert_failed(&odd(&stores, Fault::Merge).await, "panic", "brittle values do not merge");
}

/// An output that cannot be encoded fails the run.
pub(super) async fn an_output_that_cannot_be_encoded_fails<S: Stores>(stores: S) {
    assert_failed(&odd(&stores, Fault::Output).await, "panic", "this output cannot be encoded");
}

/// A node that is written by hand and looks at no limit is dropped.
pub(super) async fn a_node_that_keeps_no_limit_is_dropped<S: Stores>(stores: S) {
    start(&stores, &Endless, 1).await;
    let failed = step(&stores, &Endless).await.expect_err("the node is dropped");
    assert_eq!(failed.error, Error::Timeout(LIMIT));
    assert_failed(&record::<S, ()>(&stores).await, "timeout", "timed out");
}
