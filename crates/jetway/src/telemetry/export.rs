//! Sending spans to a collector over OTLP/gRPC.

use super::{FixedIds, OtelTracer, TelemetryError, reported::Reported};
use crate::background::BackgroundRuntime;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfig, BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, TracerProviderBuilder},
};
use std::{env, fmt, time::Duration};
use uuid::Uuid;

/// How long spans wait for others to go with them.
const DELAY: Duration = Duration::from_millis(500);
/// How many spans wait at most; the next ones are dropped.
const QUEUE: usize = 16_384;
/// How many links a span has at most: a fan-in links to all its branches.
const LINKS: u32 = 16_384;
/// How long ending a process may wait for its last spans to be sent.
const FLUSH: Duration = Duration::from_secs(3);

/// The pipeline from spans to the collector, with a thread of its own: it works whatever runtime the process has, and
/// also while that one is blocked.
pub(super) struct Export {
    endpoint: String,
    provider: SdkTracerProvider,
    _runtime: BackgroundRuntime,
}

impl Export {
    /// The pipeline that the environment asks for; `None` where it asks for none.
    pub(super) fn from_env(service_name: &str) -> Result<Option<Self>, TelemetryError> {
        let endpoint =
            set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let off = set("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
        match endpoint.filter(|_| !off) {
            Some(endpoint) => Self::to(endpoint, service_name).map(Some),
            None => Ok(None),
        }
    }

    fn to(endpoint: String, service_name: &str) -> Result<Self, TelemetryError> {
        let runtime = BackgroundRuntime::new("jetway-otlp", 1)?;
        let exporter = {
            let _runtime_of_the_connection = runtime.enter();
            SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build()?
        };
        let processor = BatchSpanProcessor::builder(Reported::new(exporter, &endpoint))
            .with_batch_config(batch_config())
            .build();
        let provider =
            provider_builder().with_resource(resource(service_name)).with_span_processor(processor).build();
        Ok(Self { endpoint, provider, _runtime: runtime })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn tracer(&self) -> OtelTracer {
        OtelTracer::new(&self.provider)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(endpoint = self.endpoint, %error, "the last traces may not have been exported");
        }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What every provider of ours has, whatever its exporter.
pub(super) fn provider_builder() -> TracerProviderBuilder {
    let builder = SdkTracerProvider::builder().with_id_generator(FixedIds::default());
    match set("OTEL_SPAN_LINK_COUNT_LIMIT") {
        Some(_as_the_sdk_reads_it) => builder,
        None => builder.with_max_links_per_span(LINKS),
    }
}

fn batch_config() -> BatchConfig {
    let mut config = BatchConfigBuilder::default();
    if set("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        config = config.with_scheduled_delay(DELAY);
    }
    if set("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
        config = config.with_max_queue_size(QUEUE);
    }
    config.build()
}

/// Who the spans are from. What the environment says wins over the code.
fn resource(service_name: &str) -> Resource {
    let named = set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name="));
    let builder = Resource::builder().with_attributes([
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ]);
    if named { builder.build() } else { builder.with_service_name(service_name.to_owned()).build() }
}

/// A variable that is set to something.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use std::{net::TcpListener, time::Instant};

    /// Spans that nobody takes, in the middle of a runtime as a host has it.
    async fn lose_spans(endpoint: String) -> Duration {
        let export = Export::to(endpoint, "test").unwrap();
        let tracer = export.provider.tracer("test");
        let began = Instant::now();
        for _ in 0..QUEUE * 2 {
            drop(tracer.start("span"));
        }
        let worked = began.elapsed();
        drop(export);
        assert!(began.elapsed() < worked + FLUSH + Duration::from_secs(2), "{:?}", began.elapsed());
        worked
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_holds_up_nothing() {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let worked = lose_spans(format!("http://127.0.0.1:{port}")).await;
        assert!(worked < Duration::from_secs(5), "{worked:?}");
    }

    #[tokio::test]
    async fn a_collector_that_never_answers_holds_up_nothing() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let worked = lose_spans(format!("http://{}", silent.local_addr().unwrap())).await;
        assert!(worked < Duration::from_secs(5), "{worked:?}");
    }

    #[tokio::test]
    async fn an_endpoint_that_is_none_is_an_error_in_words() {
        let error = Export::to("not an address".to_owned(), "test").unwrap_err().to_string();
        assert!(error.starts_with("traces cannot be exported: "), "{error}");
    }
}
