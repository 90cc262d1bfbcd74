//! Spans whose ids are known before they are written.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use std::cell::Cell;

thread_local! {
    static FIXED: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Makes random ids, except for a run's span: its ids were fixed when the run began.
///
/// The SDK asks its generator on the thread that starts the span, and nowhere else, so ids that are laid down on that
/// thread for the length of one call reach that span and no other.
#[derive(Debug, Clone, Default)]
pub struct FixedIds {
    random: RandomIdGenerator,
}

impl FixedIds {
    /// Calls `start`, which starts one span; it gets these ids. The trace id counts for a span without a parent; one
    /// with a parent is in its parent's trace.
    pub(super) fn with<R>(trace: TraceId, span: SpanId, start: impl FnOnce() -> R) -> R {
        let _until_it_returns = LaidDown::new(trace, span);
        start()
    }
}

/// Ids that are laid down on this thread; taken up again when this is dropped, a panic included.
struct LaidDown;

impl LaidDown {
    fn new(trace: TraceId, span: SpanId) -> Self {
        FIXED.set(Some((trace, span)));
        Self
    }
}

impl Drop for LaidDown {
    fn drop(&mut self) {
        FIXED.set(None);
    }
}

impl IdGenerator for FixedIds {
    fn new_trace_id(&self) -> TraceId {
        FIXED.get().map_or_else(|| self.random.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        FIXED.get().map_or_else(|| self.random.new_span_id(), |(_, span)| span)
    }
}
