//! Exports spans to a collector over OTLP/gRPC.

use super::{
    FixedIds, OtelTracer, layer, reporting_exporter::ReportingExporter, server_time::ServerTimeExporter,
};
use crate::{background::BackgroundRuntime, telemetry::TelemetryError};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfig, BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, TracerProviderBuilder},
};
use std::{env, fmt, time::Duration};
use tracing_subscriber::{Layer, registry::LookupSpan};
use uuid::Uuid;

/// How long the exporter collects spans for one batch.
const BATCH_DELAY: Duration = Duration::from_millis(500);
/// The maximum number of spans in the queue. Further spans are dropped.
const MAX_QUEUE: usize = 16_384;
/// The maximum number of links of a span. A gathering step links to all branches.
const MAX_LINKS: u32 = 16_384;
/// How long the end of the process may wait for the last spans to be exported.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The export pipeline. It has its own thread, so it works with any runtime of the process, also while that runtime is
/// blocked.
pub(in crate::telemetry) struct Export {
    endpoint: String,
    provider: SdkTracerProvider,
    _runtime: BackgroundRuntime,
}

impl Export {
    /// The pipeline that the environment configures. `None` if there is no endpoint or traces are disabled.
    pub(in crate::telemetry) fn from_env(service_name: &str) -> Result<Option<Self>, TelemetryError> {
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
            let _connection_runtime = runtime.enter();
            SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build()?
        };
        let processor =
            BatchSpanProcessor::builder(ServerTimeExporter(ReportingExporter::new(exporter, &endpoint)))
                .with_batch_config(batch_config())
                .build();
        let provider =
            provider_builder().with_resource(resource(service_name)).with_span_processor(processor).build();
        Ok(Self { endpoint, provider, _runtime: runtime })
    }

    pub(in crate::telemetry) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        layer(&self.tracer())
    }

    pub(in crate::telemetry) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn tracer(&self) -> OtelTracer {
        OtelTracer::new(&self.provider)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_LIMIT) {
            tracing::warn!(endpoint = self.endpoint, %error, "cannot export the remaining traces");
        }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The settings of a provider that do not depend on its exporter.
pub(super) fn provider_builder() -> TracerProviderBuilder {
    let builder = SdkTracerProvider::builder().with_id_generator(FixedIds::default());
    match set("OTEL_SPAN_LINK_COUNT_LIMIT") {
        Some(_as_the_sdk_reads_it) => builder,
        None => builder.with_max_links_per_span(MAX_LINKS),
    }
}

fn batch_config() -> BatchConfig {
    let mut config = BatchConfigBuilder::default();
    if set("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        config = config.with_scheduled_delay(BATCH_DELAY);
    }
    if set("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
        config = config.with_max_queue_size(MAX_QUEUE);
    }
    config.build()
}

/// The resource attributes. The environment overrides the service name in the code.
fn resource(service_name: &str) -> Resource {
    let named = set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name="));
    let builder = Resource::builder().with_attributes([
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ]);
    if named { builder.build() } else { builder.with_service_name(service_name.to_owned()).build() }
}

/// The value of an environment variable that is set and not empty.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use std::{net::TcpListener, time::Instant};

    /// Creates spans that are not exported, on a runtime as a host has it.
    async fn lose_spans(endpoint: String) -> Duration {
        let export = Export::to(endpoint, "test").unwrap();
        let tracer = export.provider.tracer("test");
        let began = Instant::now();
        for _ in 0..MAX_QUEUE * 2 {
            drop(tracer.start("span"));
        }
        let worked = began.elapsed();
        drop(export);
        assert!(began.elapsed() < worked + FLUSH_LIMIT + Duration::from_secs(2), "{:?}", began.elapsed());
        worked
    }

    #[tokio::test]
    async fn an_unreachable_collector_delays_nothing() {
        // A free port.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let worked = lose_spans(format!("http://127.0.0.1:{port}")).await;
        assert!(worked < Duration::from_secs(5), "{worked:?}");
    }

    #[tokio::test]
    async fn a_silent_collector_delays_nothing() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let worked = lose_spans(format!("http://{}", silent.local_addr().unwrap())).await;
        assert!(worked < Duration::from_secs(5), "{worked:?}");
    }

    #[tokio::test]
    async fn an_invalid_endpoint_is_an_error() {
        let error = Export::to("not an address".to_owned(), "test").unwrap_err().to_string();
        assert!(error.starts_with("cannot export traces: "), "{error}");
    }
}
