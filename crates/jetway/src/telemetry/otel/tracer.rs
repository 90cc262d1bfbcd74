//! Runs and steps as OpenTelemetry spans.

use super::{
    FixedIds, remote,
    server_time::{machine_now, machine_time},
};
use jetway_engine::{StepInfo, StepSpan, Tracer};
use jetway_state::run::{Snapshot, Status};
use opentelemetry::{
    KeyValue,
    trace::{
        Span as _, SpanBuilder, SpanId, SpanKind, Status as SpanStatus, TraceContextExt, TraceId,
        TracerProvider,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Creates a span `run <workflow>` for every run, and a span `step <node>` for every attempt of a step.
#[derive(Clone)]
pub struct OtelTracer {
    tracer: SdkTracer,
}

impl OtelTracer {
    /// A tracer that uses this provider. The id generator of the provider has to be [`FixedIds`]; otherwise the span of a
    /// run does not have the id that its steps name as their parent.
    pub fn new(provider: &SdkTracerProvider) -> Self {
        Self { tracer: provider.tracer("jetway") }
    }

    pub(super) fn sdk(&self) -> &SdkTracer {
        &self.tracer
    }
}

impl fmt::Debug for OtelTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelTracer").finish_non_exhaustive()
    }
}

impl Tracer for OtelTracer {
    fn step(&self, info: &StepInfo<'_>) -> StepSpan {
        let span = tracing::info_span!(
            target: "jetway::step",
            parent: None,
            "step",
            otel.name = format_args!("step {}", info.node),
            otel.kind = "consumer",
            jetway.workflow = %info.run.workflow,
            jetway.run_id = %info.run.run_id,
            jetway.incarnation = %info.incarnation,
            jetway.node = info.node,
            jetway.item_id = %info.item,
            jetway.attempt = info.attempt,
            jetway.outcome = tracing::field::Empty,
        );
        let id = set_parent_and_links(&span, info);
        StepSpan { span, id }
    }

    fn step_ended(&self, step: &StepSpan, outcome: &'static str) {
        step.span.record("jetway.outcome", outcome);
        if outcome == "failed" {
            step.span.set_status(SpanStatus::error("the step failed"));
        }
    }

    fn run_ended(&self, snapshot: &Snapshot) {
        let trace = &snapshot.trace;
        let parent = remote::above_run(trace);
        let (start, end) = run_times(snapshot, machine_now());
        let builder = SpanBuilder::from_name(format!("run {}", snapshot.workflow))
            .with_kind(SpanKind::Consumer)
            .with_start_time(start)
            .with_attributes(run_attributes(snapshot));
        let ids = (TraceId::from(trace.trace_id), SpanId::from(trace.span_id));
        let mut span = FixedIds::with(ids.0, ids.1, || builder.start_with_context(&self.tracer, &parent));
        span.set_status(run_status(snapshot));
        span.end_with_timestamp(end);
    }
}

/// Makes the step's span a child of the run's span, and returns its id. Reading the id starts the span, so parent and
/// links have to be set before.
fn set_parent_and_links(span: &Span, info: &StepInfo<'_>) -> Option<u64> {
    if let Err(error) = span.set_parent(remote::run(info.trace)) {
        tracing::debug!(%error, "cannot export the span of the step");
        return None;
    }
    for link in &info.links {
        span.add_link(remote::span_context(info.trace, *link));
    }
    span.set_attribute("messaging.system", "nats");
    span.set_attribute("messaging.operation.type", "process");
    span.set_attribute("messaging.operation.name", "process");
    span.set_attribute("messaging.message.id", info.item.to_string());
    let context = span.context();
    let started = context.span();
    if let Some(wait) = info.queue_wait {
        let waited = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        started.add_event("ticket received", vec![KeyValue::new("jetway.queue_wait_ms", waited)]);
    }
    let id = started.span_context().span_id();
    (id != SpanId::INVALID).then(|| u64::from_be_bytes(id.to_bytes()))
}

fn run_attributes(snapshot: &Snapshot) -> Vec<KeyValue> {
    let steps = i64::try_from(snapshot.steps).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("jetway.workflow", snapshot.workflow.to_string()),
        KeyValue::new("jetway.run_id", snapshot.run_id.to_string()),
        KeyValue::new("jetway.incarnation", snapshot.incarnation.to_string()),
        KeyValue::new("jetway.status", snapshot.status.as_str()),
        KeyValue::new("jetway.steps", steps),
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.operation.name", "process"),
    ];
    if let Some(error) = &snapshot.error {
        attributes.push(KeyValue::new("error.type", error.kind.clone()));
        attributes.extend(error.node.clone().map(|node| KeyValue::new("jetway.node", node)));
    }
    attributes
}

fn run_status(snapshot: &Snapshot) -> SpanStatus {
    match (snapshot.status, &snapshot.error) {
        (Status::Failed, Some(error)) => SpanStatus::error(error.message.clone()),
        (Status::Failed, None) => SpanStatus::error("the run failed"),
        (Status::Completed, _) => SpanStatus::Ok,
        (Status::Running | Status::Paused | Status::Cancelled, _) => SpanStatus::Unset,
    }
}

/// The start and the end of the span of a run that ends now, in time of the machine. Its last step has ended before, which
/// its record does not tell exactly: it has milliseconds.
fn run_times(snapshot: &Snapshot, now: SystemTime) -> (SystemTime, SystemTime) {
    let machine = |milliseconds| machine_time(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
    let start = machine(snapshot.started_at.0);
    let end = snapshot.finished_at.unwrap_or(snapshot.updated_at);
    (start, machine(end.0).max(now).max(start))
}

#[cfg(test)]
mod tests;
