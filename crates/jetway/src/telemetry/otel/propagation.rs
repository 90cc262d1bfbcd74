//! The trace context of the caller, for messages that it sends.

use jetway_state::trace::TraceHeaders;
use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// See [`current_trace`](crate::telemetry::current_trace).
pub(in crate::telemetry) fn current_trace() -> TraceHeaders {
    let otel_context = tracing::Span::current().context();
    let span = otel_context.span();
    let context = span.span_context();
    if !context.is_valid() {
        return TraceHeaders::default();
    }
    let (trace, id, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
    TraceHeaders {
        parent: Some(format!("00-{trace}-{id}-{flags:02x}")),
        state: Some(context.trace_state().header()).filter(|state| !state.is_empty()),
    }
}
