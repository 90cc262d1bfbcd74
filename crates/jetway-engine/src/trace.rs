//! The engine's side of tracing: what spans say. The `jetway` crate exports them.

use jetway_core::clock::Clock;
use jetway_state::{
    Incarnation, ItemId, RunKey,
    run::{RunError, Snapshot, Trace},
    trace::{TraceHeaders, trace_of},
};
use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};
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

    /// The time of spans now, in microseconds since 1970. Zero if spans are not exported.
    fn now_micros(&self) -> u64 {
        0
    }

    /// The node failed with this error, whether or not an edge handles it. Comes before [`step_ended`](Self::step_ended).
    fn step_failed(&self, _span: &StepSpan, _error: &RunError) {}

    /// The exact times of an attempt, which its run covers. Without this, they are those at which the span was opened and
    /// left.
    fn step_timed(&self, _span: &StepSpan, _times: SpanTimes) {}

    /// Records the outcome of an attempt: `next`, `next_all`, `hold`, `awaits`, `handled`, `failed`, `discarded` or
    /// `given_back`.
    fn step_ended(&self, span: &StepSpan, outcome: &'static str);

    /// The run ended with this snapshot, which is committed: writes the span of the run.
    fn run_ended(&self, snapshot: &Snapshot);

    /// The same for a run with children, which were cancelled because it ended. Its span has to cover theirs, so it ends at
    /// `end_micros` at the earliest.
    fn run_ended_with_children(&self, snapshot: &Snapshot, _end_micros: u64) {
        self.run_ended(snapshot);
    }
}

/// The times of a span, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanTimes {
    /// Its start.
    pub start_micros: u64,
    /// Its end.
    pub end_micros: u64,
}

impl SpanTimes {
    /// The same within a run that has ended at this time. An attempt that outlives its run is discarded.
    #[must_use]
    pub fn not_after(self, end_micros: u64) -> Self {
        Self { start_micros: self.start_micros.min(end_micros), end_micros: self.end_micros.min(end_micros) }
    }
}

/// The time of a clock in microseconds since 1970, for the start of a run's span.
pub(crate) fn exact_micros(clock: &dyn Clock) -> u64 {
    let since = clock.exact().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
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
    /// The span starts at this time at the earliest, in microseconds since 1970: the start of the run, or the end of the
    /// child run that the item waited for.
    pub not_before: u64,
}

/// The span of one attempt.
#[derive(Debug, Clone)]
pub struct StepSpan {
    /// The span that the node runs in.
    pub span: Span,
    /// Its id in the trace, if it is exported.
    pub id: Option<u64>,
    /// Its start, in microseconds since 1970. Zero if it is not exported.
    pub start_micros: u64,
}

impl StepSpan {
    /// The times of an attempt that ends now, by the clock of `tracer`. Spans within it have ended in this microsecond at the
    /// latest, so it ends with the next one.
    pub(crate) fn times(&self, tracer: &dyn Tracer) -> SpanTimes {
        let start_micros = self.start_micros;
        SpanTimes { start_micros, end_micros: tracer.now_micros().saturating_add(1).max(start_micros) }
    }
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
        StepSpan { span, id: None, start_micros: 0 }
    }

    fn step_ended(&self, _span: &StepSpan, _outcome: &'static str) {}

    fn run_ended(&self, _snapshot: &Snapshot) {}
}
