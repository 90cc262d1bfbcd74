//! Runs and steps as OpenTelemetry spans.

use super::{
    FixedIds,
    host::host,
    remote,
    server_time::{attributes, now_micros, time},
};
use jetway_engine::{SpanTimes, StepInfo, StepSpan, Tracer};
use jetway_state::{
    RunKey,
    run::{RunError, Snapshot, Status},
};
use opentelemetry::{
    KeyValue,
    trace::{
        Link, Span as _, SpanBuilder, SpanId, SpanKind, Status as SpanStatus, TraceContextExt, TraceId,
        TracerProvider,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::fmt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Creates a span `run <workflow>` for every run, and a span `step <node>` for every attempt of a step.
#[derive(Clone)]
pub struct OtelTracer {
    tracer: SdkTracer,
    /// The exporter is ours: it takes the times of steps from their attributes.
    sets_times: bool,
}

impl OtelTracer {
    /// A tracer that uses this provider. The id generator of the provider has to be [`FixedIds`]; otherwise the span of a
    /// run does not have the id that its steps name as their parent.
    pub fn new(provider: &SdkTracerProvider) -> Self {
        Self { tracer: provider.tracer("jetway"), sets_times: false }
    }

    /// The same for a provider with a [`ServerTimeExporter`](super::server_time::ServerTimeExporter).
    pub(super) fn setting_times(self) -> Self {
        Self { sets_times: true, ..self }
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
        let start_micros = now_micros();
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
            jetway.attempt = i64::from(info.attempt),
            jetway.outcome = tracing::field::Empty,
        );
        // Taken before the span is opened, so that spans within it start later.
        let id = set_parent_and_links(&span, info);
        StepSpan { span, id, start_micros: start_micros.max(info.not_before) }
    }

    fn now_micros(&self) -> u64 {
        now_micros()
    }

    fn step_failed(&self, step: &StepSpan, error: &RunError) {
        step.span.set_attribute("error.type", error.kind.clone());
        step.span.set_status(SpanStatus::error(error.message.clone()));
    }

    fn step_timed(&self, step: &StepSpan, times: SpanTimes) {
        if self.sets_times {
            for KeyValue { key, value, .. } in attributes(times) {
                step.span.set_attribute(key, value);
            }
        }
    }

    fn step_ended(&self, step: &StepSpan, outcome: &'static str) {
        step.span.record("jetway.outcome", outcome);
        if outcome == "failed" {
            // Without an effect where the error is known.
            step.span.set_status(SpanStatus::error("the step failed"));
        }
    }

    fn run_ended(&self, snapshot: &Snapshot) {
        self.run_ended_with_children(snapshot, 0);
    }

    fn run_ended_with_children(&self, snapshot: &Snapshot, end_micros: u64) {
        let trace = &snapshot.trace;
        let parent = remote::above_run(trace);
        let times = SpanTimes {
            start_micros: snapshot.span_start_micros(),
            end_micros: snapshot.span_end_micros().max(end_micros),
        };
        let mut all = run_attributes(snapshot);
        if self.sets_times {
            all.extend(attributes(times));
        }
        let asked_by = snapshot.parent.as_ref().and_then(|parent| parent.span);
        let builder = SpanBuilder::from_name(format!("run {}", snapshot.workflow))
            .with_kind(SpanKind::Consumer)
            .with_start_time(time(times.start_micros))
            .with_links(
                asked_by
                    .map(|span| Link::with_context(remote::span_context(trace, span)))
                    .into_iter()
                    .collect(),
            )
            .with_attributes(all);
        let ids = (TraceId::from(trace.trace_id), SpanId::from(trace.span_id));
        let mut span = FixedIds::with(ids.0, ids.1, || builder.start_with_context(&self.tracer, &parent));
        span.set_status(run_status(snapshot));
        span.end_with_timestamp(time(times.end_micros));
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
    for KeyValue { key, value, .. } in messaging_attributes(info.run) {
        span.set_attribute(key, value);
    }
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

/// Attributes that the semantic conventions for messaging name.
fn messaging_attributes(run: &RunKey) -> impl Iterator<Item = KeyValue> {
    [
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.message.conversation_id", run.run_id.to_string()),
    ]
    .into_iter()
    .chain(host().map(|host| KeyValue::new("messaging.client.id", host.to_string())))
}

fn run_attributes(snapshot: &Snapshot) -> Vec<KeyValue> {
    let steps = i64::try_from(snapshot.steps).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("jetway.workflow", snapshot.workflow.to_string()),
        KeyValue::new("jetway.run_id", snapshot.run_id.to_string()),
        KeyValue::new("jetway.incarnation", snapshot.chain_id().to_string()),
        KeyValue::new("jetway.status", snapshot.status.as_str()),
        KeyValue::new("jetway.steps", steps),
    ];
    attributes.extend(messaging_attributes(&snapshot.key()));
    if let Some(cancel) = &snapshot.cancel {
        attributes.push(KeyValue::new("jetway.cancel.reason", cancel.reason.as_str()));
    }
    if let Some(error) = &snapshot.error {
        attributes.push(KeyValue::new("error.type", error.kind.clone()));
        attributes.extend(error.node.clone().map(|node| KeyValue::new("jetway.node", node)));
        attributes.push(KeyValue::new("jetway.attempt", i64::from(error.attempt)));
    }
    attributes
}

fn run_status(snapshot: &Snapshot) -> SpanStatus {
    match (snapshot.status, &snapshot.error) {
        (Status::Failed, Some(error)) => SpanStatus::error(error.message.clone()),
        (Status::Failed, None) => SpanStatus::error("the run failed"),
        (Status::Completed, _) => SpanStatus::Ok,
        (Status::Running | Status::Paused | Status::Cancelling | Status::Cancelled, _) => SpanStatus::Unset,
    }
}

#[cfg(test)]
mod tests;
