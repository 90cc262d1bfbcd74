//! The exported spans.

use super::*;
use crate::telemetry::{
    current_trace,
    otel::{export::provider_builder, layer, server_time::ServerTimeExporter},
};
use jetway_state::{
    CommitId, Incarnation, ItemId, RunId, RunKey, Timestamp, WorkflowName,
    run::{HandledFailures, RunError, Trace},
    trace::TraceHeaders,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SimpleSpanProcessor, SpanData, SpanExporter},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

/// Collects the exported spans.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

struct Exported {
    collector: Collector,
    tracer: OtelTracer,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Exported {
    /// A tracer with an exporter in memory. A second layer, for the log, filters everything, which must not affect the
    /// exporter.
    fn new() -> Self {
        let collector = Collector::default();
        Self::exporting(collector.clone(), collector, |tracer| tracer)
    }

    /// The same with the exporter that sets the times of spans.
    fn setting_times() -> Self {
        let collector = Collector::default();
        Self::exporting(ServerTimeExporter(collector.clone()), collector, OtelTracer::setting_times)
    }

    fn exporting(
        exporter: impl SpanExporter + 'static,
        collector: Collector,
        with: impl FnOnce(OtelTracer) -> OtelTracer,
    ) -> Self {
        let provider = provider_builder().with_span_processor(SimpleSpanProcessor::new(exporter)).build();
        let tracer = with(OtelTracer::new(&provider));
        let silent = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let silent = tracing_subscriber::Layer::with_filter(silent, tracing::level_filters::LevelFilter::OFF);
        let subscriber = tracing_subscriber::registry().with(layer(&tracer)).with(silent);
        Self { collector, tracer, _subscriber: tracing::subscriber::set_default(subscriber) }
    }

    fn spans(&self) -> BTreeMap<String, SpanData> {
        let spans = self.collector.0.lock().unwrap().clone();
        spans.into_iter().map(|span| (span.name.to_string(), span)).collect()
    }
}

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const RUN_SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

fn trace(parent_id: Option<u64>) -> Trace {
    Trace {
        trace_id: TRACE,
        span_id: RUN_SPAN,
        parent_id,
        flags: 1,
        state: "vendor=1".to_owned(),
        start_micros: 1_700_000_000_000_123,
        end_micros: 1_700_000_002_500_456,
    }
}

fn run() -> RunKey {
    RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new("r-1").unwrap())
}

fn snapshot(status: Status, error: Option<RunError>, parent_id: Option<u64>) -> Snapshot {
    Snapshot {
        workflow: run().workflow,
        run_id: run().run_id,
        incarnation: Incarnation::default(),
        commit: CommitId::default(),
        status,
        context: Default::default(),
        items: BTreeMap::new(),
        fan_outs: BTreeMap::new(),
        outputs: Vec::new(),
        error,
        handled_failures: HandledFailures::default(),
        steps: 3,
        started_at: Timestamp(1_700_000_000_000),
        updated_at: Timestamp(1_700_000_009_000),
        finished_at: Some(Timestamp(1_700_000_002_500)),
        trace: trace(parent_id),
        input_digest: Vec::new(),
        children: BTreeMap::new(),
        child_groups: BTreeMap::new(),
        intents: Vec::new(),
        waits: BTreeMap::new(),
        mailbox: Default::default(),
        failures: BTreeMap::new(),
        cancel: None,
        has_clean_up: false,
        deadline: None,
        paused_at: None,
        chain: None,
        continued: 0,
        attempts: BTreeMap::new(),
        parent: None,
        chunked: false,
        unreadable: BTreeMap::new(),
        written_by: BTreeMap::new(),
    }
}

fn declined() -> RunError {
    RunError {
        item: Some(ItemId::start()),
        node: Some("charge".to_owned()),
        attempt: 1,
        kind: "panic".to_owned(),
        message: "card declined".to_owned(),
    }
}

fn info<'a>(run: &'a RunKey, trace: &'a Trace, item: &'a ItemId, links: Vec<u64>) -> StepInfo<'a> {
    let queue_wait = Some(Duration::from_millis(12));
    StepInfo {
        run,
        incarnation: Incarnation::default(),
        trace,
        node: "charge",
        item,
        attempt: 2,
        queue_wait,
        links,
        not_before: 0,
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|found| found.value.to_string())
}

#[test]
fn a_run_is_exported_with_its_own_ids_and_times() {
    let exported = Exported::new();
    let ended = snapshot(Status::Completed, None, None);
    exported.tracer.run_ended(&ended);
    let spans = exported.spans();
    let span = &spans["run pay"];
    assert_eq!(span.span_context.trace_id(), TraceId::from(TRACE));
    assert_eq!(span.span_context.span_id(), SpanId::from(RUN_SPAN));
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert!(span.span_context.is_sampled());
    assert_eq!(span.start_time, time(1_700_000_000_000_123));
    assert_eq!(span.end_time, time(1_700_000_002_500_456), "it covers its last step to the microsecond");
    assert_eq!(span.status, SpanStatus::Ok);
    assert_eq!(attribute(span, "jetway.run_id").as_deref(), Some("r-1"));
    assert_eq!(attribute(span, "jetway.status").as_deref(), Some("completed"));
}

#[test]
fn a_run_with_a_traceparent_is_a_child_of_its_caller() {
    let exported = Exported::new();
    let caller = 0xb7ad_6b71_6920_3331;
    exported.tracer.run_ended(&snapshot(Status::Completed, None, Some(caller)));
    let spans = exported.spans();
    let span = &spans["run pay"];
    assert_eq!(span.parent_span_id, SpanId::from(caller));
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_context.trace_id(), TraceId::from(TRACE));
    assert_eq!(span.span_context.span_id(), SpanId::from(RUN_SPAN));
    assert_eq!(span.span_context.trace_state().header(), "vendor=1");
}

#[test]
fn a_failed_run_has_an_error_status() {
    let exported = Exported::new();
    exported.tracer.run_ended(&snapshot(Status::Failed, Some(declined()), None));
    let spans = exported.spans();
    let span = &spans["run pay"];
    assert_eq!(span.status, SpanStatus::error("card declined"));
    assert_eq!(attribute(span, "error.type").as_deref(), Some("panic"));
    assert_eq!(attribute(span, "jetway.node").as_deref(), Some("charge"));
}

#[test]
fn a_step_is_a_child_of_its_run_and_links_to_its_causes() {
    let exported = Exported::new();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    let step = exported.tracer.step(&info(&run, &trace, &item, vec![7, 8]));
    step.span.in_scope(|| tracing::info!("commit conflict"));
    exported.tracer.step_ended(&step, "next");
    let id = step.id.unwrap();
    drop(step);

    let spans = exported.spans();
    let span = &spans["step charge"];
    assert_eq!(span.span_context.trace_id(), TraceId::from(TRACE));
    assert_eq!(span.span_context.span_id(), SpanId::from(id));
    assert_eq!(span.parent_span_id, SpanId::from(RUN_SPAN));
    assert_eq!(span.span_kind, SpanKind::Consumer);
    assert_eq!(span.status, SpanStatus::Unset);
    let links: Vec<_> = span.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [SpanId::from(7), SpanId::from(8)]);
    let events: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["ticket received", "commit conflict"]);
    for (key, value) in [
        ("jetway.workflow", "pay"),
        ("jetway.run_id", "r-1"),
        ("jetway.node", "charge"),
        ("jetway.item_id", "start"),
        ("jetway.attempt", "2"),
        ("jetway.outcome", "next"),
        ("messaging.system", "nats"),
        ("messaging.operation.type", "process"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}");
    }
}

#[tokio::test]
async fn spans_and_calls_of_a_node_belong_to_its_step() {
    let exported = Exported::new();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    let step = exported.tracer.step(&info(&run, &trace, &item, Vec::new()));
    let outgoing = async {
        tokio::task::yield_now().await;
        async { current_trace() }.instrument(tracing::info_span!("call the bank")).await
    };
    let headers = outgoing.instrument(step.span.clone()).await;
    exported.tracer.step_ended(&step, "failed");
    let id = step.id.unwrap();
    drop(step);

    let spans = exported.spans();
    let inner = &spans["call the bank"];
    assert_eq!(inner.parent_span_id, SpanId::from(id));
    assert_eq!(inner.span_context.trace_id(), TraceId::from(TRACE));
    let inner_id = inner.span_context.span_id();
    let expected = TraceHeaders {
        parent: Some(format!("00-{TRACE:032x}-{inner_id}-01")),
        state: Some("vendor=1".to_owned()),
    };
    assert_eq!(headers, expected);
    assert!(matches!(spans["step charge"].status, SpanStatus::Error { .. }));
}

#[test]
fn u5_a_handled_failure_is_an_error_of_its_step() {
    let exported = Exported::new();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    let step = exported.tracer.step(&info(&run, &trace, &item, Vec::new()));
    exported.tracer.step_failed(&step, &declined());
    exported.tracer.step_ended(&step, "handled");
    drop(step);
    let spans = exported.spans();
    let span = &spans["step charge"];
    assert_eq!(span.status, SpanStatus::error("card declined"));
    assert_eq!(attribute(span, "error.type").as_deref(), Some("panic"));
    assert_eq!(attribute(span, "jetway.outcome").as_deref(), Some("handled"));
}

#[test]
fn f16_numbers_are_numbers() {
    let exported = Exported::new();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    drop(exported.tracer.step(&info(&run, &trace, &item, Vec::new())));
    exported.tracer.run_ended(&snapshot(Status::Failed, Some(declined()), None));
    let spans = exported.spans();
    for (span, name, number) in [
        ("step charge", "jetway.attempt", 2),
        ("run pay", "jetway.attempt", 1),
        ("run pay", "jetway.steps", 3),
    ] {
        let found = spans[span].attributes.iter().find(|attribute| attribute.key.as_str() == name);
        assert_eq!(
            found.map(|attribute| &attribute.value),
            Some(&opentelemetry::Value::I64(number)),
            "{name}"
        );
    }
    assert_eq!(attribute(&spans["run pay"], "messaging.message.conversation_id").as_deref(), Some("r-1"));
}

#[test]
fn f15_the_given_times_of_a_step_are_exported() {
    let exported = Exported::setting_times();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    let not_before = 4_000_000_000_000_000;
    let step = exported.tracer.step(&StepInfo { not_before, ..info(&run, &trace, &item, Vec::new()) });
    assert_eq!(step.start_micros, not_before, "it does not start before its run");
    let times = SpanTimes { start_micros: step.start_micros, end_micros: not_before + 1_535 };
    exported.tracer.step_timed(&step, times.not_after(not_before + 1_000));
    exported.tracer.step_ended(&step, "discarded");
    drop(step);
    let spans = exported.spans();
    let span = &spans["step charge"];
    assert_eq!((span.start_time, span.end_time), (time(not_before), time(not_before + 1_000)));
    let left = span.attributes.iter().find(|attribute| attribute.key.as_str().starts_with("jetway.span"));
    assert_eq!(left, None, "the times are no attributes");
}

#[test]
fn f15_a_run_covers_the_children_that_it_cancelled() {
    let exported = Exported::setting_times();
    let child = snapshot(Status::Cancelled, None, Some(3));
    let own_end = child.span_end_micros();
    exported.tracer.run_ended_with_children(&child, own_end + 77);
    assert_eq!(exported.spans()["run pay"].end_time, time(own_end + 77));
    exported.tracer.run_ended_with_children(&child, own_end - 77);
    assert_eq!(exported.spans()["run pay"].end_time, time(own_end));
}

#[test]
fn other_spans_get_random_ids_after_a_run_span() {
    let exported = Exported::new();
    exported.tracer.run_ended(&snapshot(Status::Completed, None, None));
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    let ids: Vec<_> =
        (0..2).map(|_| exported.tracer.step(&info(&run, &trace, &item, Vec::new())).id.unwrap()).collect();
    assert!(ids[0] != ids[1] && !ids.contains(&RUN_SPAN), "{ids:?}");
    tracing::info_span!("elsewhere").in_scope(|| {});
    assert_ne!(exported.spans()["elsewhere"].span_context.trace_id(), TraceId::from(TRACE));
}

#[test]
fn an_unsampled_run_is_not_exported() {
    let exported = Exported::new();
    let mut unsampled = snapshot(Status::Completed, None, Some(5));
    unsampled.trace.flags = 0;
    exported.tracer.run_ended(&unsampled);
    let (run, item) = (run(), ItemId::start());
    let step = exported.tracer.step(&info(&run, &unsampled.trace, &item, Vec::new()));
    assert!(step.id.is_some(), "steps still have ids");
    drop(step);
    assert!(exported.spans().is_empty());
}

#[test]
fn a_gathering_step_links_to_thousands_of_branches() {
    let exported = Exported::new();
    let (run, trace, item) = (run(), trace(None), ItemId::start());
    drop(exported.tracer.step(&info(&run, &trace, &item, (1..=2_000).collect())));
    assert_eq!(exported.spans()["step charge"].links.len(), 2_000);
}

#[test]
fn without_a_span_there_are_no_headers() {
    let _exported = Exported::new();
    assert_eq!(current_trace(), TraceHeaders::default());
}
