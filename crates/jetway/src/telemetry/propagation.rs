//! The caller's place in a trace, for messages that it sends.

use jetway_state::trace::TraceHeaders;
use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The W3C headers of the current span: what a start message carries so that the run joins the caller's trace. Empty
/// where no span is open or none is exported.
pub fn current_trace() -> TraceHeaders {
    let context = tracing::Span::current().context();
    let span = context.span();
    let place = span.span_context();
    if !place.is_valid() {
        return TraceHeaders::default();
    }
    let (trace, id, flags) = (place.trace_id(), place.span_id(), place.trace_flags().to_u8());
    TraceHeaders {
        parent: Some(format!("00-{trace}-{id}-{flags:02x}")),
        state: Some(place.trace_state().header()).filter(|state| !state.is_empty()),
    }
}
