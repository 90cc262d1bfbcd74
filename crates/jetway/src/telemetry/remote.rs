//! A run's place in a trace, in OpenTelemetry's types.

use jetway_state::run::Trace;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use std::str::FromStr;

/// The span `span_id` of the run's trace, which another process may have written.
pub(super) fn span_context(trace: &Trace, span_id: u64) -> SpanContext {
    // A state that breaks the rules is dropped, as the W3C recommendation has it; the trace itself goes on.
    let state = TraceState::from_str(&trace.state).unwrap_or_default();
    let flags = TraceFlags::new(trace.flags);
    SpanContext::new(TraceId::from(trace.trace_id), SpanId::from(span_id), flags, true, state)
}

/// The parent of the run's span: the caller's span, or nothing.
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
