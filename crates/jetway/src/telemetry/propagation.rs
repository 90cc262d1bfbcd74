//! The trace context of the caller, for messages that it sends.

use jetway_state::trace::TraceHeaders;
use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The W3C trace context headers of the current span. A start message that carries them makes the run join the trace of
/// the caller. Empty if there is no current span, or traces are not exported.
pub(crate) fn current_trace() -> TraceHeaders {
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
