//! Running a workflow within one process, by the same rules.

use crate::{
    Context, Outcome, WorkItem, Workflow, WorkflowCtx,
    clock::{Clock, SystemClock},
    step::{StepScope, encode_outcome, item_in, output_of, run_input_of, run_node, step},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jetway_state::{
    CommitId, Error, Graph, ItemId, RunId, RunKey, WorkflowName,
    run::{AttemptId, Begin, Input, Item, Payload, RunInput, Snapshot, apply, begin, pending_tickets},
    trace::{TraceHeaders, trace_of},
};
use std::{
    collections::{BTreeSet, VecDeque},
    marker::PhantomData,
};
use uuid::Uuid;

/// The id of a run within a step, which has the step's own key before it: the same for every attempt at the step, and
/// another one for a run of the same workflow with another input.
fn id_within_a_step(input: &RunInput) -> String {
    format!("local-{}", HEXLOWER.encode(&input.digest()[..8]))
}

/// A run within this process: its record, and the order in which its items were begotten.
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
    // The id is part of every key that a step gives to its calls: two runs have two of them, and all attempts at a step
    // that this run is within, one.
    let input = run_input_of(workflow.start_work_item(input), Bytes::new())?;
    let id = match step() {
        Some(_) => id_within_a_step(&input),
        None => Uuid::new_v4().simple().to_string(),
    };
    let mut run = LocalRun::begin_with(workflow, input, &id);
    while run.step(ctx).await? {}
    run.output()
}

impl<'a, C: Context, W: Workflow<C>> LocalRun<'a, C, W> {
    /// A run that begins with `item`.
    pub(super) fn begin(workflow: &'a W, item: W::WorkItem, id: &str) -> Result<Self, Error> {
        Ok(Self::begin_with(workflow, run_input_of(item, Bytes::new())?, id))
    }

    fn begin_with(workflow: &'a W, input: RunInput, id: &str) -> Self {
        // Names are the user's own text, and no part of a subject here.
        let key = RunKey::new(WorkflowName::fitted(workflow.name()), RunId::fitted(id));
        let trace = trace_of(&TraceHeaders::default(), 1, 1);
        let (snapshot, _) =
            begin(Begin { key, commit: CommitId::default(), at: SystemClock.now(), trace, input });
        Self::go_on(workflow, snapshot, &VecDeque::new())
    }

    /// A run that goes on from its record, with its items in the order of `queue`.
    pub(super) fn go_on(workflow: &'a W, snapshot: Snapshot, queue: &VecDeque<W::WorkItem>) -> Self {
        let mut order: VecDeque<ItemId> =
            queue.iter().filter_map(|item| ItemId::new(&item.instance_id()).ok()).collect();
        order.retain(|id| snapshot.is_pending(id));
        let queued: BTreeSet<_> = order.iter().cloned().collect();
        order.extend(
            pending_tickets(&snapshot).into_iter().map(|want| want.item).filter(|id| !queued.contains(id)),
        );
        Self { workflow, graph: workflow.graph(), snapshot, order, context: PhantomData }
    }

    /// Adds items that were begotten elsewhere.
    pub(super) fn add(&mut self, items: VecDeque<W::WorkItem>) -> Result<(), Error> {
        for (position, item) in items.into_iter().enumerate() {
            let id = ItemId::successor("queue", position);
            let input = run_input_of(item, Bytes::new())?;
            let item = Item {
                node: input.node,
                input: Input::One(Payload::Inline(input.payload)),
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

    /// The record.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The work items to come, in order.
    pub(super) fn queue(&self) -> Result<VecDeque<W::WorkItem>, Error> {
        self.order.iter().filter_map(|id| self.item(id).transpose()).collect()
    }

    /// Runs the next item; `false` where the run has ended.
    pub(super) async fn step(&mut self, ctx: &WorkflowCtx<C>) -> Result<bool, Error> {
        let Some(id) = self.order.pop_front() else {
            return Ok(false);
        };
        let Some(item) = self.item(&id)? else {
            return Ok(!self.snapshot.status.is_terminal());
        };
        let node = item.node();
        let scope =
            StepScope::new(self.snapshot.key(), id.clone(), 1, ctx.timeout(), ctx.cancel_token().clone());
        let outcome = match run_node(scope, self.workflow.attempt_work_item(ctx, item)).await {
            Outcome::Failed(error) => {
                // The item stays in the record: whoever goes on from it tries again.
                self.order.push_front(id);
                return Err(error);
            }
            outcome => outcome,
        };
        let attempt = AttemptId { item: id.clone(), node, number: 1 };
        let produced = encode_outcome(outcome, &attempt)?;
        let attempt = attempt.report(id, SystemClock.now(), produced, None);
        if let Some(applied) = apply(self.snapshot.clone(), attempt, CommitId::default(), &self.graph) {
            self.snapshot = applied.snapshot;
            self.order.extend(applied.tickets.into_iter().map(|ticket| ticket.item));
        }
        Ok(!self.snapshot.status.is_terminal())
    }

    /// The first output of a run that has ended.
    pub(super) fn output(&self) -> Result<W::Output, Error> {
        output_of(&self.snapshot)
    }

    fn item(&self, id: &ItemId) -> Result<Option<W::WorkItem>, Error> {
        item_in(&self.snapshot, id)
    }
}
