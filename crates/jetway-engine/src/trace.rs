//! The engine's side of tracing: what a span is to say. Who exports it is somebody else's business.

use jetway_state::{
    ItemId, RunKey,
    run::{Snapshot, Trace},
    trace::{TraceHeaders, trace_of},
};
use std::{fmt, time::Duration};
use tracing::Span;

/// Writes the spans of runs and steps.
pub trait Tracer: Send + Sync + fmt::Debug {
    /// The place of a new run in a trace: under the caller's span where `headers` name one. It is kept in the run's
    /// first snapshot, so a start message that is delivered twice gives one trace.
    fn begin(&self, headers: &TraceHeaders) -> Trace {
        trace_of(headers, rand::random(), rand::random())
    }

    /// A span for one attempt at a step, a child of the run's span.
    fn step(&self, info: &StepInfo<'_>) -> StepSpan;

    /// The attempt ended so: `next`, `next_all`, `hold`, `caught`, `failed`, `discarded` or `given_back`.
    fn step_ended(&self, span: &StepSpan, outcome: &'static str);

    /// The run ended with this snapshot, which is committed: its span can be written.
    fn run_ended(&self, snapshot: &Snapshot);
}

/// One attempt at a step.
#[derive(Debug)]
pub struct StepInfo<'a> {
    /// The run.
    pub run: &'a RunKey,
    /// Its place in a trace.
    pub trace: &'a Trace,
    /// The node.
    pub node: &'a str,
    /// The item.
    pub item: &'a ItemId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long the item waited for a worker; `None` where it went on under the ticket of the step before.
    pub queue_wait: Option<Duration>,
    /// The spans of the steps that led here, in the same trace: one, or all the branches of a fan-in.
    pub links: Vec<u64>,
}

/// The span of one attempt.
#[derive(Debug, Clone)]
pub struct StepSpan {
    /// The span that the node runs in.
    pub span: Span,
    /// Its id in the trace, where it is exported.
    pub id: Option<u64>,
}

/// Writes spans through `tracing` alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTracer;

impl Tracer for PlainTracer {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        let span = tracing::info_span!(
            "step",
            workflow = %info.run.workflow,
            run_id = %info.run.run_id,
            node = info.node,
            item_id = %info.item,
            attempt = info.attempt,
        );
        StepSpan { span, id: None }
    }

    fn step_ended(&self, _span: &StepSpan, _outcome: &'static str) {}

    fn run_ended(&self, _snapshot: &Snapshot) {}
}
