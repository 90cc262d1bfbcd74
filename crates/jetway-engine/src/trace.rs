//! The engine's side of tracing: what spans say. The `jetway` crate exports them.

use jetway_state::{
    Incarnation, ItemId, RunKey,
    run::{Snapshot, Trace},
    trace::{TraceHeaders, trace_of},
};
use std::{fmt, time::Duration};
use tracing::Span;

/// Writes the spans of runs and steps.
pub trait Tracer: Send + Sync + fmt::Debug {
    /// The trace of a new run: a child of the caller's span if `headers` name one. It is kept in the first snapshot, so a
    /// start message that is delivered twice gives one trace.
    fn begin(&self, headers: &TraceHeaders) -> Trace {
        trace_of(headers, rand::random(), rand::random())
    }

    /// Opens a span for one attempt at a step, as a child of the run's span.
    fn step(&self, info: &StepInfo<'_>) -> StepSpan;

    /// Records the outcome of an attempt: `next`, `next_all`, `hold`, `awaits`, `handled`, `failed`, `discarded` or
    /// `given_back`.
    fn step_ended(&self, span: &StepSpan, outcome: &'static str);

    /// The run ended with this snapshot, which is committed: writes the span of the run.
    fn run_ended(&self, snapshot: &Snapshot);
}

/// One attempt at a step.
#[derive(Debug)]
pub struct StepInfo<'a> {
    /// The run.
    pub run: &'a RunKey,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The trace of the run.
    pub trace: &'a Trace,
    /// The node.
    pub node: &'a str,
    /// The item.
    pub item: &'a ItemId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How long the item waited for a worker; `None` if it runs under the ticket of the step before.
    pub queue_wait: Option<Duration>,
    /// The spans of the steps that created the item, in the same trace: one, or one for each branch of a fan-in.
    pub links: Vec<u64>,
}

/// The span of one attempt.
#[derive(Debug, Clone)]
pub struct StepSpan {
    /// The span that the node runs in.
    pub span: Span,
    /// Its id in the trace, if it is exported.
    pub id: Option<u64>,
}

/// Writes spans through `tracing` only.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTracer;

impl Tracer for PlainTracer {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        let span = tracing::info_span!(
            "step",
            run = %info.run,
            incarnation = %info.incarnation,
            node = info.node,
            item = %info.item,
            attempt = info.attempt,
        );
        StepSpan { span, id: None }
    }

    fn step_ended(&self, _span: &StepSpan, _outcome: &'static str) {}

    fn run_ended(&self, _snapshot: &Snapshot) {}
}
