//! [`Typed`]: erases the types of a workflow.

mod failed;

use crate::{
    Context, Emission, Merge, Outcome, WorkItem as _, Workflow, WorkflowCtx,
    panics::guarded_now,
    signal::SignalType,
    step::{
        AnyWorkflow, AttemptResult, ChildRequest, ChildSlot, EncodedAttempt, StepScope, Task, TaskInput,
        TimeLeft, Unreadable, decode_item, encode, encode_emission, encode_failure, rebase_context,
        run_input_of, run_node,
    },
    step_rules::{BadRules, StepRules, check_rules},
    workflow::new_run::new_run,
};
use async_trait::async_trait;
use bytes::Bytes;
use failed::Failed;
use jetway_state::{
    BadName, Error, Fingerprint, Graph, Timestamp, WorkflowName,
    codec::Encoding,
    json,
    run::{AttemptId, EncodedEmission, EncodedOutcome, EncodedOutput, RunInput, UnreadablePart},
    value,
};
use std::{
    any::type_name,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Implements [`AnyWorkflow`] for a workflow of type `W`.
pub struct Typed<C, W> {
    workflow: W,
    name: WorkflowName,
    graph: Graph,
    fingerprint: Fingerprint,
    signals: Vec<SignalType>,
    context: PhantomData<fn() -> C>,
}

impl<C: Context, W: Workflow<C>> Typed<C, W> {
    /// Wraps a workflow.
    ///
    /// # Errors
    /// The workflow's name is not `[A-Za-z0-9_-]{1,64}`, so it cannot be part of a subject or a key.
    pub fn new(workflow: W) -> Result<Self, BadName> {
        let name = WorkflowName::new(workflow.name())?;
        let graph = workflow.graph();
        let fingerprint = graph.fingerprint();
        let signals = workflow.signals();
        Ok(Self { workflow, name, graph, fingerprint, signals, context: PhantomData })
    }
}

impl<C: Context, W: Workflow<C>> Typed<C, W> {
    /// The item and the context of an attempt. Decoding calls code of the user, which may panic.
    fn decoded(
        &self,
        node: &str,
        input: &TaskInput,
        context: &Bytes,
    ) -> Result<(W::WorkItem, C), Unreadable> {
        let item = self.item(node, input)?;
        let context = guarded_now(|| value::read(context, &"the context")).map_err(|error| {
            let expected = Some(type_name::<C>().to_owned());
            Unreadable { part: UnreadablePart::Context, expected, error }
        })?;
        Ok((item, context))
    }

    /// The work item of a node. Decoding calls code of the user, which may panic.
    fn item(&self, node: &str, input: &TaskInput) -> Result<W::WorkItem, Unreadable> {
        guarded_now(|| decode_item(node, input)).map_err(|error| self.unreadable_input(node, error))
    }

    fn unreadable_input(&self, node: &str, error: Error) -> Unreadable {
        let expected = self.graph.node(node).map(|node| node.input.clone());
        Unreadable { part: UnreadablePart::Input, expected, error }
    }

    /// The outcome of a failed attempt. The item is decoded again: the node has used it up.
    fn failed(
        &self,
        input: &TaskInput,
        attempt: &AttemptId,
        error: Error,
    ) -> Result<Outcome<W::WorkItem, W::Output>, Error> {
        let item: W::WorkItem = decode_item(&attempt.node, input)?;
        Ok(self.workflow.fail_work_item(item.with_instance_id(attempt.item.to_string()), error))
    }
}

/// The child runs that the item waits for. What is to be started once the step is committed is part of its outcome. A node whose context
/// cannot be kept has failed, and starts nothing.
fn keep_request(request: ChildRequest, produced: &mut EncodedOutcome) -> Option<ChildRequest> {
    match (request, produced) {
        (ChildRequest::Detached(spec), EncodedOutcome::Next(emission)) => {
            emission.starts.push(spec.start());
            None
        }
        (request @ (ChildRequest::One(_) | ChildRequest::Many(_)), EncodedOutcome::Hold) => Some(request),
        _ => None,
    }
}

/// The scope of an attempt that begins now.
fn scope(task: &Task, rules: &StepRules, limit: Option<Duration>, began: Timestamp) -> StepScope {
    let (run, item, stop) = (task.run.clone(), task.item.clone(), task.stop.clone());
    let spent = began.since(task.ready_since);
    let time_left = rules.within.and_then(|limit| TimeLeft::of(limit, spent, task.last_error.clone()));
    StepScope::new(run, task.incarnation, item, task.attempt, limit, stop)
        .with_clock(&task.clock)
        .with_heartbeats(&task.heartbeats)
        .with_time_left(time_left)
}

impl<C, W> fmt::Debug for Typed<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<C, W> AnyWorkflow for Typed<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    fn name(&self) -> &WorkflowName {
        &self.name
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn to_dot(&self) -> &'static str {
        self.workflow.to_dot()
    }

    fn signals(&self) -> &[SignalType] {
        &self.signals
    }

    fn deadline(&self) -> Option<Duration> {
        self.workflow.deadline()
    }

    fn run_input(&self, input: &[u8], encoding: Encoding) -> Result<RunInput, Error> {
        jetway_state::hop!("Typed::run_input");
        let what = format!("input of workflow {:?}", self.name.as_str());
        guarded_now(|| {
            let input: W::Input = match encoding {
                // No payload is no value: the input of a workflow that takes `()`.
                _ if input.is_empty() => json::read(b"null", &format!("{what}, whose payload is empty"))?,
                Encoding::Json => json::read(input, &what)?,
                Encoding::Cbor => value::read(input, &what)?,
            };
            let context = value::write_opaque(&C::default(), &"the context")?;
            run_input_of(self.workflow.start_work_item(input), context)
        })
    }

    fn check(&self, node: &str, input: &TaskInput, context: &Bytes) -> Result<(), Unreadable> {
        match input {
            TaskInput::Output(_) => Ok(()),
            input => self.decoded(node, input, context).map(drop),
        }
    }

    async fn attempt(&self, task: Task) -> Result<AttemptResult, Unreadable> {
        jetway_state::hop!("Typed::attempt");
        if let TaskInput::Output(output) = task.input {
            return Ok(AttemptResult::output(output));
        }
        let rules = self.workflow.step_rules(&task.node);
        if let Some(lost) = task.lost {
            return Ok(self.after_losses(&task, lost, &rules));
        }
        let (item, context) = self.decoded(&task.node, &task.input, &task.context)?;
        let item = item.with_instance_id(task.item.to_string());
        let mut ctx =
            WorkflowCtx::new(context).cancelled_by(task.cancel.clone()).with_clock(Arc::clone(&task.clock));
        // A node keeps its own limit by itself.
        let limit = task.timeout.filter(|_| rules.timeout.is_none());
        if let Some(limit) = limit {
            ctx.set_timeout(limit);
        }
        let began = task.clock.now();
        let scope = scope(&task, &rules, limit, began);
        let (child, last_try) = (Arc::new(ChildSlot::new(task.child.clone())), scope.last_try());
        let policy = Arc::new(Mutex::new(rules.retry.clone().or_else(|| task.retry.clone())));
        let node = self.workflow.attempt_work_item(&ctx, item);
        let scope = scope.with_child(Arc::clone(&child)).with_durable_retries(&policy);
        let scope = scope.with_answer(task.answer.clone());
        let mut outcome = run_node(scope, node).await;
        let cancelled = task.stop.is_cancelled() && matches!(outcome, Outcome::Failed(Error::Cancelled));
        let attempt = AttemptId { number: last_try.number(), ..task.attempt_id() };
        let fail = |error| self.failed(&task.input, &attempt, error);
        if let Outcome::WaitFor(wait) = &outcome
            && let Err(error) = wait.check(&self.signals)
        {
            outcome = guarded_now(|| fail(error.clone())).unwrap_or(Outcome::Failed(error));
        }
        let mut continued = None;
        if let Outcome::ContinueAsNew(input) = &outcome {
            match new_run(&self.workflow, input) {
                Ok(input) => continued = Some(EncodedAttempt::of_new_run(input)),
                Err(error) => {
                    outcome = guarded_now(|| fail(error.clone())).unwrap_or(Outcome::Failed(error));
                }
            }
        }
        let encoded = continued
            .unwrap_or_else(|| encode(outcome, &ctx.store, &task.context, &attempt, task.clock.now(), fail));
        let EncodedAttempt { mut produced, context, error } = encoded;
        let policy = policy.lock().unwrap_or_else(PoisonError::into_inner).take();
        let retry = match error.filter(|_| !cancelled) {
            Some(error) => {
                let failed = Failed { task: &task, attempt: &attempt, began, rules: &rules, error };
                self.after_failure(failed, policy.as_ref(), &mut produced)
            }
            None => None,
        };
        let requested_child = child.take_request().and_then(|request| keep_request(request, &mut produced));
        Ok(AttemptResult { produced, context, cancelled, requested_child, retry })
    }

    fn failure(
        &self,
        input: &TaskInput,
        attempt: &AttemptId,
        error: &Error,
        now: Timestamp,
    ) -> EncodedOutcome {
        encode_failure(error, attempt, now, |error| self.failed(input, attempt, error))
    }

    fn check_rules(&self) -> Result<(), BadRules> {
        check_rules(&self.graph, self.workflow.deadline(), |node| self.workflow.step_rules(node))
    }

    fn clean_up(&self, node: &str, input: &TaskInput) -> Result<Option<EncodedEmission>, Unreadable> {
        // An output that has waited for its time, and gets none any more, has no node to clean up after.
        if matches!(input, TaskInput::Output(_)) || !self.graph.is_cleaned_up(node) {
            return Ok(None);
        }
        let item = self.item(node, input)?;
        let emission = Emission::to(self.workflow.cancel_work_item(item));
        let encoded = guarded_now(|| encode_emission(emission, EncodedOutput::new::<W::Output>));
        encoded.map(Some).map_err(|error| self.unreadable_input(node, error))
    }

    fn rebase(&self, base: &Bytes, mine: &Bytes, theirs: &Bytes) -> Result<Bytes, Error> {
        rebase_context::<C>(base, mine, theirs)
    }
}
