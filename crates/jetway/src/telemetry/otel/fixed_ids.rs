//! An id generator that can be given the ids of the next span.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use std::cell::Cell;

thread_local! {
    static FIXED: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Generates random ids, except for the span of a run: its ids were chosen when the run started.
///
/// The SDK calls its generator on the thread that starts the span. Ids that are set on that thread during one call
/// therefore reach that span and no other.
#[derive(Debug, Clone, Default)]
pub struct FixedIds {
    random: RandomIdGenerator,
}

impl FixedIds {
    /// Calls `start`, which starts one span with these ids. The trace id is used for a span without a parent only; a span
    /// with a parent belongs to its parent's trace.
    pub(super) fn with<R>(trace: TraceId, span: SpanId, start: impl FnOnce() -> R) -> R {
        let _reset = ResetOnDrop::new(trace, span);
        start()
    }
}

/// Clears the ids of this thread on drop, also after a panic.
struct ResetOnDrop;

impl ResetOnDrop {
    fn new(trace: TraceId, span: SpanId) -> Self {
        FIXED.set(Some((trace, span)));
        Self
    }
}

impl Drop for ResetOnDrop {
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
