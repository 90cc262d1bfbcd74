//! The engine's side of tracing: what a span is to say. Who exports it is somebody else's business.

use crate::{
    ItemId, RunKey,
    backend::TraceHeaders,
    run::{Snapshot, Trace},
};
use std::{fmt, time::Duration};
use tracing::Span;

/// Writes the spans of runs and steps.
pub trait Tracer: Send + Sync + fmt::Debug {
    /// The place of a new run in a trace: under the caller's span where `headers` name one. It is kept in the run's
    /// first snapshot, so a start message that is delivered twice gives one trace.
    fn begin(&self, headers: &TraceHeaders) -> Trace {
        trace_of(headers, rand::random(), rand::random())
    }

    /// A span for one attempt at a step, a child of the run's span.
    fn step(&self, info: &StepInfo<'_>) -> StepSpan;

    /// The attempt ended so: `next`, `next_all`, `hold`, `caught`, `failed`, `discarded` or `given_back`.
    fn step_ended(&self, span: &StepSpan, outcome: &'static str);

    /// The run ended with this snapshot, which is committed: its span can be written.
    fn run_ended(&self, snapshot: &Snapshot);
}

/// One attempt at a step.
#[derive(Debug)]
pub struct StepInfo<'a> {
    /// The run.
    pub run: &'a RunKey,
    /// Its place in a trace.
    pub trace: &'a Trace,
    /// The node.
    pub node: &'a str,
    /// The item.
    pub item: &'a ItemId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long the item waited for a worker; `None` where it went on under the ticket of the step before.
    pub queue_wait: Option<Duration>,
    /// The spans of the steps that led here, in the same trace: one, or all the branches of a fan-in.
    pub links: Vec<u64>,
}

/// The span of one attempt.
#[derive(Debug, Clone)]
pub struct StepSpan {
    /// The span that the node runs in.
    pub span: Span,
    /// Its id in the trace, where it is exported.
    pub id: Option<u64>,
}

/// Writes spans through `tracing` alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTracer;

impl Tracer for PlainTracer {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        let span = tracing::info_span!(
            "step",
            workflow = %info.run.workflow,
            run_id = %info.run.run_id,
            node = info.node,
            item_id = %info.item,
            attempt = info.attempt,
        );
        StepSpan { span, id: None }
    }

    fn step_ended(&self, _span: &StepSpan, _outcome: &'static str) {}

    fn run_ended(&self, _snapshot: &Snapshot) {}
}

/// The place of a run in a trace: under the caller's span where its `traceparent` names one, at the root of the trace
/// `own_trace` otherwise. Ids of zero, which the recommendation forbids, become one.
pub fn trace_of(headers: &TraceHeaders, own_trace: u128, span: u64) -> Trace {
    let span_id = span.max(1);
    match headers.parent.as_deref().and_then(parse) {
        Some((trace_id, parent, flags)) => Trace {
            trace_id,
            span_id,
            parent_id: Some(parent),
            flags,
            state: headers.state.clone().unwrap_or_default(),
        },
        None => {
            Trace { trace_id: own_trace.max(1), span_id, parent_id: None, flags: 1, state: String::new() }
        }
    }
}

/// Version, trace, parent and flags of a W3C `traceparent`; `None` where it breaks the rules, which then starts a new
/// trace, as the recommendation has it.
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
    /// As headers of a message: the run's span is the parent of what the message leads to.
    pub fn headers(&self) -> TraceHeaders {
        TraceHeaders {
            parent: Some(format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)),
            state: Some(self.state.clone()).filter(|state| !state.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_headers_of_a_run_name_its_span() {
        let trace = trace_of(&TraceHeaders::default(), 7, 8);
        let (trace_id, parent, _) = parse(trace.headers().parent.as_deref().unwrap()).unwrap();
        assert_eq!((trace_id, parent), (trace.trace_id, trace.span_id));
    }
}
