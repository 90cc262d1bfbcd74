//! The trace context of a run, as OpenTelemetry types.

use jetway_state::run::Trace;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use std::str::FromStr;

/// The context of the span `span_id` in the run's trace. Another process may have created it.
pub(super) fn span_context(trace: &Trace, span_id: u64) -> SpanContext {
    // The W3C recommendation: discard an invalid tracestate, keep the trace.
    let state = TraceState::from_str(&trace.state).unwrap_or_default();
    let flags = TraceFlags::new(trace.flags);
    SpanContext::new(TraceId::from(trace.trace_id), SpanId::from(span_id), flags, true, state)
}

/// The parent of the run's span: the caller's span, if there is one.
pub(super) fn above_run(trace: &Trace) -> Context {
    match trace.parent_id {
        Some(parent) => Context::new().with_remote_span_context(span_context(trace, parent)),
        None => Context::new(),
    }
}

/// The parent of a step's span: the run's span.
pub(super) fn run(trace: &Trace) -> Context {
    Context::new().with_remote_span_context(span_context(trace, trace.span_id))
}
