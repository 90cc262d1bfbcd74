//! Logs on standard error, and traces to an OpenTelemetry collector such as Jaeger.
//!
//! ```no_run
//! # fn main() -> Result<(), jetway::telemetry::TelemetryError> {
//! let _telemetry = jetway::telemetry::init("orders")?; // flushes when it is dropped
//! # Ok(())
//! # }
//! ```
//!
//! Each run is one trace: a span `run <workflow>` with a child span `step <node>` for every attempt of a step. Spans that a
//! node opens with `tracing` are children of its step. If the start message carries a `traceparent`, the run joins the
//! trace of the caller.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `RUST_LOG` | log filter, such as `info,orders=debug`; default `info,async_nats=warn` |
//! | `NO_COLOR` | if set and not empty, no colour in the log |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, such as `http://127.0.0.1:4317` (OTLP over gRPC); if unset, traces are not exported |
//! | `OTEL_SERVICE_NAME` | service name in traces; overrides the one in the code |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | sampling; `traceidratio` with `0.1` keeps every tenth run, with all its steps |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, ... | the queue of spans to be exported |
//! | `OTEL_SDK_DISABLED` | `true` disables traces |
//!
//! Without the feature `otel`, traces are not exported, and the variables that begin with `OTEL_` have no effect.
//!
//! # Guarantee
//!
//! Steps never wait for telemetry. Spans to be exported are kept in a bounded queue. If the collector is unreachable or too
//! slow, spans are dropped and a warning is logged, at most once a minute.

mod log;
#[cfg(not(feature = "otel"))]
mod no_otel;
#[cfg(feature = "otel")]
mod otel;

pub use jetway_engine::Tracer;
#[cfg(feature = "otel")]
pub use otel::{FixedIds, OtelTracer, layer};

use jetway_core::clock::Clock;
use jetway_engine::PlainTracer;
use jetway_state::trace::TraceHeaders;
#[cfg(not(feature = "otel"))]
use no_otel as otel;
use otel::Export;
use std::sync::Arc;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The default log filter. async-nats logs at `info` what Jetway logs anyway.
const DEFAULT_LOG: &str = "info,async_nats=warn";

/// Starts logging at `info` (or as `RUST_LOG` says), and exporting traces if the environment names a collector.
///
/// # Errors
/// The process has a `tracing` subscriber already, or the endpoint in the environment is invalid.
pub fn init(service_name: &str) -> Result<TelemetryGuard, TelemetryError> {
    Telemetry::new(service_name).init()
}

/// The tracer of this process. It exports the spans of runs and steps if [`init`] has found an endpoint. Otherwise spans
/// appear in the log only.
pub fn tracer() -> Arc<dyn Tracer> {
    otel::tracer().unwrap_or_else(|| Arc::new(PlainTracer))
}

/// The W3C trace context headers of the current span. A start message that carries them makes the run join the trace of
/// the caller. Empty if there is no current span, or traces are not exported.
pub(crate) fn current_trace() -> TraceHeaders {
    otel::current_trace()
}

/// Sets the clock that the times of exported spans come from.
pub(crate) fn set_clock(clock: Arc<dyn Clock>) {
    otel::set_clock(clock);
}

/// Configures telemetry with other settings than those of [`init`].
#[derive(Debug, Clone)]
pub struct Telemetry {
    service_name: String,
    default_log: String,
}

impl Telemetry {
    /// The settings of [`init`].
    pub fn new(service_name: &str) -> Self {
        Self { service_name: service_name.to_owned(), default_log: DEFAULT_LOG.to_owned() }
    }

    /// The log filter if `RUST_LOG` is not set, such as `warn` or `info,orders=debug`.
    #[must_use]
    pub fn default_log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.default_log);
        self
    }

    /// Starts logging and exporting.
    ///
    /// # Errors
    /// The same as [`init`].
    pub fn init(self) -> Result<TelemetryGuard, TelemetryError> {
        let filter = EnvFilter::try_from_default_env().or_else(|_unset_or_bad| self.default_log.parse())?;
        let export = Export::from_env(&self.service_name)?;
        let spans = export.as_ref().map(Export::layer);
        tracing_subscriber::registry()
            .with(spans)
            .with(log::layer().with_filter(filter))
            .try_init()
            .map_err(|_subscriber_exists| TelemetryError::AlreadyInitialised)?;
        otel::started(export.as_ref());
        Ok(TelemetryGuard { export })
    }
}

/// Keeps telemetry running. Dropping it exports the remaining spans, which takes a few seconds at most.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped: bind it to a name, as in `let _telemetry = ..`"]
pub struct TelemetryGuard {
    export: Option<Export>,
}

impl TelemetryGuard {
    /// The endpoint of the collector. `None` if traces are not exported.
    pub fn endpoint(&self) -> Option<&str> {
        self.export.as_ref().map(Export::endpoint)
    }
}

/// Why telemetry cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The process has a `tracing` subscriber already.
    #[error("this process has a tracing subscriber already: start telemetry once, at the beginning of main")]
    AlreadyInitialised,
    /// The log filter in the code is invalid.
    #[error("invalid log filter: {0}")]
    BadFilter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter cannot be created from the settings in the environment.
    #[cfg(feature = "otel")]
    #[error("cannot export traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The thread of the exporter cannot be started.
    #[error("cannot export traces: the thread of the exporter does not start: {0}")]
    Thread(#[from] std::io::Error),
}
