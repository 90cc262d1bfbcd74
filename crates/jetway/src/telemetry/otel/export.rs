//! Exports spans to a collector over OTLP.

use super::{
    FixedIds, OtelTracer,
    host::{HostExporter, INSTANCE},
    http_client::{Reason, RuntimeClient},
    layer,
    reporting_exporter::ReportingExporter,
    server_time::ServerTimeExporter,
    settings::{self, Protocol, Settings, redacted, resource_names},
    tls::Pem,
};
use crate::{background::BackgroundRuntime, telemetry::ServiceName};
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfig, BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, TracerProviderBuilder},
};
use std::{fmt, io, time::Duration};
use tracing_subscriber::{Layer, registry::LookupSpan};
use uuid::Uuid;

/// How long the exporter collects spans for one batch.
const BATCH_DELAY: Duration = Duration::from_millis(500);
/// The maximum number of spans in the queue. Further spans are dropped.
const MAX_QUEUE: usize = 16_384;
/// The maximum number of spans in one export.
const MAX_BATCH: usize = 512;
/// The maximum number of links of a span. A gathering step links to all branches.
const MAX_LINKS: u32 = 16_384;
/// How long the end of the process may wait for the last spans to be exported.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// How long an export may take, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("the endpoint begins neither with http:// nor with https://")]
    Scheme,
    #[error("the settings for TLS do not fit together: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the thread of the exporter does not start: {0}")]
    Thread(#[from] io::Error),
}

/// The export pipeline. It has its own thread, so it works with any runtime of the process, also while that runtime is
/// blocked.
pub(in crate::telemetry) struct Export {
    /// Without a login.
    endpoint: String,
    provider: SdkTracerProvider,
    _runtime: BackgroundRuntime,
}

impl Export {
    /// The pipeline that the environment configures. `None` if traces are not exported. What cannot be done as the environment
    /// asks is a sentence in `warnings`.
    pub(in crate::telemetry) fn from_env(service: &ServiceName, warnings: &mut Vec<String>) -> Option<Self> {
        let (settings, found) = settings::from_env();
        warnings.extend(found);
        let settings = settings?;
        let pem = Pem::read(&settings.files, warnings);
        match Self::to(&settings, &pem, service) {
            Ok(export) => Some(export),
            Err(error) => {
                warnings.push(format!(
                    "traces are not exported to {}: {}",
                    redacted(&settings.endpoint),
                    error.to_string().replace(&settings.endpoint, &redacted(&settings.endpoint))
                ));
                None
            }
        }
    }

    fn to(settings: &Settings, pem: &Pem, service: &ServiceName) -> Result<Self, ExportError> {
        let endpoint = redacted(&settings.endpoint);
        let runtime = BackgroundRuntime::new("jetway-otlp", 1)?;
        let reason = Reason::default();
        let exporter = HostExporter::new(exporter(settings, pem, &runtime, reason.clone())?);
        let reporting = ReportingExporter::new(exporter, &endpoint, settings.protocol, reason);
        let processor = BatchSpanProcessor::builder(ServerTimeExporter(reporting))
            .with_batch_config(batch_config())
            .build();
        let provider =
            provider_builder().with_resource(resource(service)).with_span_processor(processor).build();
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
        OtelTracer::new(&self.provider).setting_times()
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
    let mut builder = SdkTracerProvider::builder().with_id_generator(FixedIds::default());
    let count = |name| settings::number(name).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    if let Some(attributes) = count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT") {
        builder = builder.with_max_attributes_per_span(attributes);
    }
    if let Some(events) = count("OTEL_SPAN_EVENT_COUNT_LIMIT") {
        builder = builder.with_max_events_per_span(events);
    }
    builder.with_max_links_per_span(count("OTEL_SPAN_LINK_COUNT_LIMIT").unwrap_or(MAX_LINKS))
}

/// The settings of the batches. Those of the environment are not left to the SDK, which takes any number.
fn batch_config() -> BatchConfig {
    let size = |name| Some(usize::try_from(settings::number(name)?).unwrap_or(usize::MAX));
    let time = |name| settings::number(name).map(Duration::from_millis);
    let queue = size("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(MAX_QUEUE);
    // OTEL_BSP_EXPORT_TIMEOUT is not for exports on a thread of their own.
    BatchConfigBuilder::default()
        .with_scheduled_delay(time("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(BATCH_DELAY))
        .with_max_queue_size(queue)
        .with_max_export_batch_size(size("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").unwrap_or(MAX_BATCH).min(queue))
        .build()
}

/// Sends spans as the settings say. Headers come from the environment, by the library.
fn exporter(
    settings: &Settings,
    pem: &Pem,
    runtime: &BackgroundRuntime,
    reason: Reason,
) -> Result<SpanExporter, ExportError> {
    let is_https = settings.endpoint.starts_with("https://");
    if !is_https && !settings.endpoint.starts_with("http://") {
        return Err(ExportError::Scheme);
    }
    match settings.protocol {
        Protocol::Grpc => {
            let _connection_runtime = runtime.enter();
            let builder = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&settings.endpoint)
                .with_timeout(timeout());
            Ok(if is_https { builder.with_tls_config(pem.for_grpc()) } else { builder }.build()?)
        }
        Protocol::HttpProtobuf => {
            let client = RuntimeClient::new(runtime.handle()?, pem.for_http()?, timeout(), reason);
            let builder = SpanExporter::builder().with_http().with_http_client(client);
            Ok(builder
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_endpoint(&settings.endpoint)
                .build()?)
        }
    }
}

/// The time limit of an export, of the specification.
fn timeout() -> Duration {
    ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
        .into_iter()
        .find_map(settings::number)
        .map_or(TIMEOUT, Duration::from_millis)
}

/// The resource attributes. Those in the environment win.
fn resource(service: &ServiceName) -> Resource {
    const NAME: Key = Key::from_static_str("service.name");
    const VERSION: Key = Key::from_static_str("service.version");
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut own = vec![
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("host.name", machine),
        KeyValue::new(INSTANCE, Uuid::new_v4().to_string()),
        KeyValue::new(NAME, service.name.clone()),
    ];
    own.extend(service.version.clone().map(|version| KeyValue::new(VERSION, version)));
    own.retain(|attribute| !resource_names(attribute.key.as_str()));
    Resource::builder().with_attributes(own).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otel::settings::Files;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        time::Instant,
    };

    fn to(endpoint: String, protocol: Protocol) -> Result<Export, ExportError> {
        let settings = Settings { endpoint, protocol, files: Files::default() };
        Export::to(&settings, &Pem::default(), &ServiceName { name: "test".to_owned(), version: None })
    }

    /// Creates spans that are not exported, on a runtime as a host has it.
    async fn lose_spans(endpoint: String, protocol: Protocol) -> Duration {
        let export = to(endpoint, protocol).unwrap();
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
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            let worked = lose_spans(format!("http://127.0.0.1:{port}"), protocol).await;
            assert!(worked < Duration::from_secs(5), "{worked:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_collector_delays_nothing() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            let worked = lose_spans(format!("http://{}", silent.local_addr().unwrap()), protocol).await;
            assert!(worked < Duration::from_secs(5), "{worked:?}");
        }
    }

    #[tokio::test]
    async fn f10_spans_are_posted_over_http() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = collector.local_addr().unwrap();
        let head = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") {
                lines.read_line(&mut head).unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            head
        });
        let export = to(format!("http://{address}/v1/traces"), Protocol::HttpProtobuf).unwrap();
        drop(export.provider.tracer("test").start("span"));
        drop(export);
        let head = head.join().unwrap();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    }

    #[tokio::test]
    async fn f10_an_invalid_endpoint_is_an_error_and_https_is_none() {
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            assert!(to("http://not an address".to_owned(), protocol).is_err(), "{protocol:?}");
            to("https://127.0.0.1:1".to_owned(), protocol).unwrap();
        }
    }

    #[test]
    fn f16_the_resource_names_the_service_and_its_machine() {
        let service = ServiceName { name: "orders".to_owned(), version: Some("1.2.3".to_owned()) };
        let resource = resource(&service);
        let text = |name| resource.get(&Key::from_static_str(name)).map(|value| value.to_string());
        assert_eq!(text("service.name").as_deref(), Some("orders"));
        assert_eq!(text("service.version").as_deref(), Some("1.2.3"));
        assert!(text("host.name").is_some_and(|name| !name.is_empty()));
    }
}
