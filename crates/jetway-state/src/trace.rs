//! W3C trace context: <https://www.w3.org/TR/trace-context/>.

use crate::{
    Timestamp,
    run::{EndedSpan, Snapshot, Trace},
};
use serde::{Deserialize, Serialize};

/// W3C trace context, as in headers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TraceHeaders {
    /// `traceparent`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `tracestate`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The longest `traceparent` that is kept, in bytes. That of version 00 has 55.
pub const LONGEST_PARENT: usize = 128;

/// The longest `tracestate` that is kept, in bytes: what the recommendation wants to be propagated at least.
pub const LONGEST_STATE: usize = 512;

impl TraceHeaders {
    /// Without the headers that are too long to be kept: the first snapshot of a run, each of its tickets and its spans have
    /// a copy of them.
    #[must_use]
    pub fn bounded(self) -> Self {
        let parent = self.parent.filter(|parent| parent.len() <= LONGEST_PARENT);
        let state = self.state.filter(|state| state.len() <= LONGEST_STATE && parent.is_some());
        Self { parent, state }
    }
}

/// The trace of a run: a child of the caller's span if the `traceparent` names one, else the root of the trace `own_trace`.
/// Ids of zero, which the recommendation forbids, become one.
pub fn trace_of(headers: &TraceHeaders, own_trace: u128, span: u64) -> Trace {
    let span_id = span.max(1);
    match headers.parent.as_deref().and_then(parse) {
        Some((trace_id, parent, flags)) => Trace {
            trace_id,
            span_id,
            parent_id: Some(parent),
            flags,
            state: headers.state.clone().filter(|state| state.len() <= LONGEST_STATE).unwrap_or_default(),
            ..Trace::default()
        },
        None => Trace { trace_id: own_trace.max(1), span_id, flags: 1, ..Trace::default() },
    }
}

/// Trace, parent and flags of a W3C `traceparent`. `None` if it is not valid: then a new trace starts, as the recommendation
/// says.
fn parse(header: &str) -> Option<(u128, u64, u8)> {
    let mut parts = header.trim().split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let well_formed =
        hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    if !well_formed || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
    Some((trace, parent, u8::from_str_radix(flags, 16).ok()?))
}

impl Trace {
    /// As headers of a message: the span of the run is the parent of the spans of the receiver.
    pub fn headers(&self) -> TraceHeaders {
        TraceHeaders {
            parent: Some(format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)),
            state: Some(self.state.clone()).filter(|state| !state.is_empty()),
        }
    }

    /// Makes the span of the run long enough for the span of a step, which is committed with it.
    pub(crate) fn cover(&mut self, span: EndedSpan) {
        self.end_micros = self.end_micros.max(span.end_micros);
    }
}

impl Snapshot {
    /// When the span of the run starts, in microseconds since 1970. No span of its steps starts before.
    pub fn span_start_micros(&self) -> u64 {
        match self.trace.start_micros {
            0 => micros(self.started_at),
            start => start,
        }
    }

    /// When the span of a run that has ended ends, in microseconds since 1970. Everybody who reads the record gets the same
    /// time, and no span of a committed step ends after it.
    pub fn span_end_micros(&self) -> u64 {
        let finished = micros(self.finished_at.unwrap_or(self.updated_at));
        finished.max(self.trace.end_micros).max(self.span_start_micros())
    }
}

fn micros(at: Timestamp) -> u64 {
    at.0.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitId, Incarnation, RunId, RunKey, WorkflowName, run::tombstone};

    fn headers(parent: &str) -> TraceHeaders {
        TraceHeaders { parent: Some(parent.to_owned()), state: Some("a=b".to_owned()) }
    }

    #[test]
    fn a_run_joins_the_callers_trace() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = trace_of(&headers(parent), 7, 8);
        assert_eq!(trace.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(trace.parent_id, Some(0xb7ad_6b71_6920_3331));
        assert_eq!((trace.flags, trace.state.as_str()), (1, "a=b"));
        assert_ne!(Some(trace.span_id), trace.parent_id);
    }

    #[test]
    fn a_bad_traceparent_starts_a_trace() {
        for bad in [
            "",
            "00-0-0-0",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            let trace = trace_of(&headers(bad), 7, 8);
            assert_eq!((trace.trace_id, trace.parent_id), (7, None), "{bad}");
        }
    }

    #[test]
    fn h7_long_headers_are_dropped() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let with = |parent: &str, state: usize| TraceHeaders {
            parent: Some(parent.to_owned()),
            state: Some("a".repeat(state)),
        };
        assert_eq!(with(parent, LONGEST_STATE).bounded(), with(parent, LONGEST_STATE));
        assert_eq!(with(parent, LONGEST_STATE + 1).bounded().state, None);
        assert_eq!(with(&"0".repeat(LONGEST_PARENT + 1), 1).bounded(), TraceHeaders::default());
        let trace = trace_of(&with(parent, LONGEST_STATE + 1), 7, 8);
        assert_eq!((trace.parent_id.is_some(), trace.state.as_str()), (true, ""));
    }

    #[test]
    fn f15_a_run_covers_its_committed_steps() {
        let mut trace = trace_of(&TraceHeaders::default(), 7, 8);
        trace.start_micros = 1_000_400;
        let mut snapshot = tombstone(
            RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap()),
            Incarnation::default(),
            trace,
            CommitId::default(),
            Timestamp(1_000),
        );
        // The record has milliseconds, and says that the run ended before it started.
        assert_eq!((snapshot.span_start_micros(), snapshot.span_end_micros()), (1_000_400, 1_000_400));
        for (end, expected) in [(1_009_535, 1_009_535), (1_009_100, 1_009_535)] {
            snapshot.trace.cover(EndedSpan { id: 1, end_micros: end });
            assert_eq!(snapshot.span_end_micros(), expected);
        }
        snapshot.finished_at = Some(Timestamp(1_010));
        assert_eq!(snapshot.span_end_micros(), 1_010_000);
    }

    #[test]
    fn the_headers_of_a_run_name_its_span() {
        let trace = trace_of(&TraceHeaders::default(), 7, 8);
        let (trace_id, parent, _) = parse(trace.headers().parent.as_deref().unwrap()).unwrap();
        assert_eq!((trace_id, parent), (trace.trace_id, trace.span_id));
    }
}
