//! What telemetry shows of each call of a node with a retry policy.

use jetway_state::{Error, Rounded};
use std::time::Duration;
use tracing::{Span, field::Empty};

/// The span of one call. `number` is that of the attempt: calls of earlier attempts at the step count too.
pub(super) fn span(number: i64) -> Span {
    tracing::info_span!(
        "try",
        otel.name = format_args!("try {number}"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        jetway.attempt = number,
    )
}

/// The call succeeded.
pub(super) fn succeeded(span: &Span, number: i64) {
    if number > 1 {
        span.in_scope(|| tracing::info!(attempt = number, "node succeeded when it was tried again"));
    }
}

/// The call failed. It is followed by another one after `delay`, or by none.
pub(super) fn failed(span: &Span, number: i64, error: &Error, delay: Option<Duration>) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", tracing::field::display(error));
    span.record("error.type", error.kind());
    span.in_scope(|| match delay {
        Some(delay) => {
            tracing::warn!(%error, attempt = number, delay = %Rounded(delay), "node failed, trying it again")
        }
        None => tracing::warn!(%error, attempt = number, "node failed, and is not tried again"),
    });
}
