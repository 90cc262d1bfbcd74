//! Runs within this process: the same pipeline and rules as on hosts, in memory.

mod waiting;

use crate::{
    Context, NewInput, Outcome, WorkItem, Workflow, WorkflowCtx,
    signal::{Answer, SignalType},
    step::{StepScope, TimeLeft, encode_outcome, item_in, output_of, run_input_of, run_node, step},
    step_rules::check_rules,
    workflow::new_run::new_run,
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jetway_state::{
    CommitId, Error, Graph, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    run::{
        AttemptId, Begin, EncodedEmission, EncodedOutcome, EncodedOutput, Input, Item, Payload, RunInput,
        Snapshot, apply, begin, pending_tickets, refuse_to_continue,
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

/// The items of a run within this process are kept in one order, also those that wait.
const ANY_TIME: Timestamp = Timestamp(u64::MAX);

/// A run within this process: its snapshot, and its pending items in the order in which they were created.
pub(super) struct LocalRun<'a, C: Context, W: Workflow<C>> {
    workflow: &'a W,
    graph: Graph,
    signals: Vec<SignalType>,
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
    check_rules(&run.graph, workflow.deadline(), |node| workflow.step_rules(node))
        .map_err(|refused| Error::Generic(refused.to_string()))?;
    let mut fresh = None;
    loop {
        let before = run.snapshot.continued;
        if !run.step(fresh.as_ref().unwrap_or(ctx)).await? {
            return run.output();
        }
        if run.snapshot.continued != before {
            fresh = Some(ctx.with_context(C::default()));
        }
    }
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
        let (mut snapshot, _) = begin(Begin { key, incarnation, commit, at, trace, input, due: None });
        snapshot.deadline = workflow.deadline().map(|limit| Snapshot::deadline_of(at, limit));
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
            pending_tickets(&snapshot, ANY_TIME)
                .into_iter()
                .map(|want| want.item)
                .filter(|id| !queued.contains(id)),
        );
        let (graph, signals) = (workflow.graph(), workflow.signals());
        Self { workflow, graph, signals, snapshot, order, context: PhantomData }
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
        let Some(id) = self.next_due(ctx).await? else {
            return Ok(false);
        };
        if let Some(output) = self.waiting_output(&id) {
            let emission = EncodedEmission { output: Some(output), ..EncodedEmission::default() };
            self.apply(self.attempt_at(&id, String::new(), 1), EncodedOutcome::Next(emission), ctx);
            return Ok(!self.snapshot.status.is_terminal());
        }
        let Some(item) = self.item(&id)? else {
            return Ok(!self.snapshot.status.is_terminal());
        };
        let node = item.node();
        let rules = self.workflow.step_rules(&node);
        let spent = ctx.clock().now().since(self.snapshot.ready_since(&id));
        let time_left = rules.within.and_then(|limit| TimeLeft::of(limit, spent, None));
        let scope = StepScope::new(
            self.snapshot.key(),
            self.snapshot.incarnation,
            id.clone(),
            1,
            ctx.timeout(),
            ctx.cancel_token().clone(),
        )
        .with_clock(ctx.clock())
        .with_time_left(time_left)
        .with_answer(self.snapshot.signal_wait(&id).map(Answer::to));
        let last_try = scope.last_try();
        let attempt = run_node(scope, self.workflow.attempt_work_item(ctx, item));
        let outcome = match self.until_deadline(ctx, attempt).await.unwrap_or_else(Outcome::Failed) {
            Outcome::Failed(error) => {
                // The item stays pending, so that a run that is resumed executes it again.
                self.order.push_front(id);
                return Err(error);
            }
            outcome => outcome,
        };
        let attempt = self.attempt_at(&id, node, last_try.number());
        let checked = match &outcome {
            Outcome::WaitFor(wait) => wait.check(&self.signals),
            _ => Ok(()),
        };
        let encoded = checked.and_then(|()| match outcome {
            Outcome::ContinueAsNew(input) => self.continuation(&attempt, &input, ctx),
            outcome => encode_outcome(outcome, &attempt, ctx.clock().now(), EncodedOutput::for_this_process),
        });
        let produced = match encoded {
            Ok(produced) => produced,
            Err(error) => self.handled(&id, &attempt, error, ctx)?,
        };
        self.apply(attempt, produced, ctx);
        Ok(!self.snapshot.status.is_terminal())
    }

    /// The run continues as new with this input, if it may.
    fn continuation(
        &self,
        attempt: &AttemptId,
        input: &NewInput,
        ctx: &WorkflowCtx<C>,
    ) -> Result<EncodedOutcome, Error> {
        let produced = EncodedOutcome::ContinueAsNew(new_run(self.workflow, input)?);
        let report = attempt.clone().report(attempt.item.clone(), ctx.clock().now(), produced, None);
        match refuse_to_continue(&self.snapshot, &report) {
            Some(refused) => Err(refused),
            None => Ok(report.produced),
        }
    }

    fn attempt_at(&self, id: &ItemId, node: String, number: u32) -> AttemptId {
        AttemptId { incarnation: self.snapshot.incarnation, item: id.clone(), node, number }
    }

    fn apply(&mut self, attempt: AttemptId, produced: EncodedOutcome, ctx: &WorkflowCtx<C>) {
        let attempt = attempt.clone().report(attempt.item, ctx.clock().now(), produced, None);
        if let Some(applied) = apply(self.snapshot.clone(), attempt, CommitId::default(), &self.graph) {
            self.snapshot = applied.snapshot;
            self.order.extend(applied.tickets.into_iter().map(|ticket| ticket.item));
            if self.snapshot.has_waits() {
                self.add_waiting();
            }
        }
    }

    /// Adds the items that wait for a time, and those that have got their signals: they have no ticket.
    pub(super) fn add_waiting(&mut self) {
        let known: BTreeSet<_> = self.order.iter().cloned().collect();
        let pending = pending_tickets(&self.snapshot, ANY_TIME).into_iter().map(|want| want.item);
        self.order.extend(pending.filter(|id| !known.contains(id)));
    }

    /// The next item that waits for nothing. If all of them wait, waits until one is due or has its signals.
    async fn next_due(&mut self, ctx: &WorkflowCtx<C>) -> Result<Option<ItemId>, Error> {
        loop {
            let now = ctx.clock().now();
            self.check_deadline(now)?;
            self.take_signals(ctx, now);
            if let Some(position) = self.order.iter().position(|id| self.snapshot.is_due(id, now)) {
                return Ok(self.order.remove(position));
            }
            if let Some(id) = self.snapshot.due_for_slot(now) {
                self.apply(self.attempt_at(&id, String::new(), 1), EncodedOutcome::Admit, ctx);
                continue;
            }
            if !self.wait(ctx, now).await? {
                return Ok(None);
            }
        }
    }

    /// The output of an item that runs no node.
    fn waiting_output(&self, id: &ItemId) -> Option<EncodedOutput> {
        match &self.snapshot.items.get(id)?.input {
            Input::Output(output) => Some(output.clone()),
            Input::One(_) | Input::Gathered(_) => None,
        }
    }

    /// The outcome of an item whose result cannot be kept: the `on_failure` edge of its node. Without one the item stays
    /// pending, and the run ends with the error.
    fn handled(
        &mut self,
        id: &ItemId,
        attempt: &AttemptId,
        error: Error,
        ctx: &WorkflowCtx<C>,
    ) -> Result<EncodedOutcome, Error> {
        let item = self.item(id)?.ok_or_else(|| error.clone())?;
        match self.workflow.fail_work_item(item, error) {
            Outcome::Failed(error) => {
                self.order.push_front(id.clone());
                Err(error)
            }
            handled => encode_outcome(handled, attempt, ctx.clock().now(), EncodedOutput::for_this_process),
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
