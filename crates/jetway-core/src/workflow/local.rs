//! Runs within this process: the same pipeline and rules as on hosts, in memory.

use crate::{
    Context, Outcome, WorkItem, Workflow, WorkflowCtx,
    step::{StepScope, encode_outcome, item_in, output_of, run_input_of, run_node, step},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jetway_state::{
    CommitId, Error, Graph, Incarnation, ItemId, RunId, RunKey, WorkflowName,
    run::{
        AttemptId, Begin, EncodedOutcome, EncodedOutput, Input, Item, Payload, RunInput, Snapshot, apply,
        begin, pending_tickets,
    },
    trace::{TraceHeaders, trace_of},
};
use std::{
    collections::{BTreeSet, VecDeque},
    marker::PhantomData,
};
use uuid::Uuid;

/// The id of a run within a step. It depends on the input alone, so that every attempt at the step gives the inner run
/// the same id and its calls the same idempotency keys. (The step's own key is put before it.)
fn id_within_step(input: &RunInput) -> String {
    format!("local-{}", HEXLOWER.encode(&input.digest()[..8]))
}

/// A run within this process: its snapshot, and its pending items in the order in which they were created.
pub(super) struct LocalRun<'a, C: Context, W: Workflow<C>> {
    workflow: &'a W,
    graph: Graph,
    snapshot: Snapshot,
    order: VecDeque<ItemId>,
    context: PhantomData<fn() -> C>,
}

/// Runs the workflow to its end and returns its first output.
pub(super) async fn run<C: Context, W: Workflow<C>>(
    workflow: &W,
    ctx: &WorkflowCtx<C>,
    input: W::Input,
) -> Result<W::Output, Error> {
    let input = run_input_of(workflow.start_work_item(input), Bytes::new())?;
    let (id, incarnation) = match step() {
        // A repeated attempt at the outer step runs the same inner run.
        Some(_) => (id_within_step(&input), Incarnation::default()),
        None => (Uuid::new_v4().simple().to_string(), Incarnation::from_random(rand::random())),
    };
    let mut run = LocalRun::begin_with(workflow, input, &id, incarnation, ctx);
    while run.step(ctx).await? {}
    run.output()
}

impl<'a, C: Context, W: Workflow<C>> LocalRun<'a, C, W> {
    /// A new run that starts with `item`.
    pub(super) fn begin(
        workflow: &'a W,
        item: W::WorkItem,
        id: &str,
        ctx: &WorkflowCtx<C>,
    ) -> Result<Self, Error> {
        let incarnation = Incarnation::from_random(rand::random());
        Ok(Self::begin_with(workflow, run_input_of(item, Bytes::new())?, id, incarnation, ctx))
    }

    fn begin_with(
        workflow: &'a W,
        input: RunInput,
        id: &str,
        incarnation: Incarnation,
        ctx: &WorkflowCtx<C>,
    ) -> Self {
        // No subject and no key is made of these names, so any text is accepted.
        let key = RunKey::new(WorkflowName::fitted(workflow.name()), RunId::fitted(id));
        let trace = trace_of(&TraceHeaders::default(), 1, 1);
        let (commit, at) = (CommitId::default(), ctx.clock().now());
        let (snapshot, _) = begin(Begin { key, incarnation, commit, at, trace, input });
        Self::continue_from(workflow, snapshot, &VecDeque::new())
    }

    /// Continues a run from its snapshot. Its pending items are executed in the order of `queue`; items that are not in
    /// `queue` follow.
    pub(super) fn continue_from(workflow: &'a W, snapshot: Snapshot, queue: &VecDeque<W::WorkItem>) -> Self {
        let mut order: VecDeque<ItemId> =
            queue.iter().filter_map(|item| ItemId::new(&item.instance_id()).ok()).collect();
        order.retain(|id| snapshot.is_pending(id));
        let queued: BTreeSet<_> = order.iter().cloned().collect();
        order.extend(
            pending_tickets(&snapshot).into_iter().map(|want| want.item).filter(|id| !queued.contains(id)),
        );
        Self { workflow, graph: workflow.graph(), snapshot, order, context: PhantomData }
    }

    /// Adds items that no step of this run created.
    pub(super) fn add_items(&mut self, items: VecDeque<W::WorkItem>) -> Result<(), Error> {
        for (position, item) in items.into_iter().enumerate() {
            let id = ItemId::successor("queue", position);
            let RunInput { node, payload, .. } = run_input_of(item, Bytes::new())?;
            let item = Item {
                node,
                input: Input::One(Payload::Inline(payload)),
                branch: None,
                ticket_item: id.clone(),
                waits_for_slot: false,
                from_span: None,
                pending_since: self.snapshot.started_at,
            };
            self.snapshot.items.insert(id.clone(), item);
            self.order.push_back(id);
        }
        Ok(())
    }

    /// The snapshot after the last step.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The pending work items, in the order in which they will be executed.
    pub(super) fn queue(&self) -> Result<VecDeque<W::WorkItem>, Error> {
        self.order.iter().filter_map(|id| self.item(id).transpose()).collect()
    }

    /// Executes the next item. Returns `false` when the run has ended.
    pub(super) async fn step(&mut self, ctx: &WorkflowCtx<C>) -> Result<bool, Error> {
        let Some(id) = self.order.pop_front() else {
            return Ok(false);
        };
        let Some(item) = self.item(&id)? else {
            return Ok(!self.snapshot.status.is_terminal());
        };
        let node = item.node();
        let scope = StepScope::new(
            self.snapshot.key(),
            self.snapshot.incarnation,
            id.clone(),
            1,
            ctx.timeout(),
            ctx.cancel_token().clone(),
        );
        let last_try = scope.last_try();
        let outcome = match run_node(scope, self.workflow.attempt_work_item(ctx, item)).await {
            Outcome::Failed(error) => {
                // The item stays pending, so that a run that is resumed executes it again.
                self.order.push_front(id);
                return Err(error);
            }
            outcome => outcome,
        };
        let (incarnation, number) = (self.snapshot.incarnation, last_try.number());
        let attempt = AttemptId { incarnation, item: id.clone(), node, number };
        let produced = match encode_outcome(outcome, &attempt, EncodedOutput::for_this_process) {
            Ok(produced) => produced,
            Err(error) => self.handled(&id, &attempt, error)?,
        };
        let attempt = attempt.report(id, ctx.clock().now(), produced, None);
        if let Some(applied) = apply(self.snapshot.clone(), attempt, CommitId::default(), &self.graph) {
            self.snapshot = applied.snapshot;
            self.order.extend(applied.tickets.into_iter().map(|ticket| ticket.item));
        }
        Ok(!self.snapshot.status.is_terminal())
    }

    /// The outcome of an item whose result cannot be kept: the `on_failure` edge of its node. Without one the item stays
    /// pending, and the run ends with the error.
    fn handled(&mut self, id: &ItemId, attempt: &AttemptId, error: Error) -> Result<EncodedOutcome, Error> {
        let item = self.item(id)?.ok_or_else(|| error.clone())?;
        match self.workflow.fail_work_item(item, error) {
            Outcome::Failed(error) => {
                self.order.push_front(id.clone());
                Err(error)
            }
            handled => encode_outcome(handled, attempt, EncodedOutput::for_this_process),
        }
    }

    /// The first output of the run. An error where it has not completed.
    pub(super) fn output(&self) -> Result<W::Output, Error> {
        output_of(&self.snapshot)
    }

    fn item(&self, id: &ItemId) -> Result<Option<W::WorkItem>, Error> {
        item_in(&self.snapshot, id)
    }
}
