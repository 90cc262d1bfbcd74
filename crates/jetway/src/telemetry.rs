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
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, such as `http://127.0.0.1:4317` or `https://collector.example.com`; if unset, traces are not exported |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc` (default), or `http/protobuf`, which sends to the path `/v1/traces` below the endpoint |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | headers of each request, such as `authorization=Bearer%20abc,tenant=7` |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | the time limit of a request in milliseconds, default 10000 |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | a PEM file with the authorities of the collector's certificate; default: those of the system |
//! | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | PEM files with the certificate of this program and its key |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: no TLS for an endpoint without a scheme, such as `collector:4317` |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `.._TRACES_PROTOCOL`, ... | the same for traces alone; this endpoint is used as it is |
//! | `OTEL_SERVICE_NAME` | service name in traces; overrides the one in the code |
//! | `OTEL_RESOURCE_ATTRIBUTES` | attributes of the program, such as `deployment.environment.name=test` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | sampling; `traceidratio` with `0.1` keeps every tenth run, with all its steps |
//! | `OTEL_TRACES_EXPORTER` | `none` disables traces; `otlp` exports them to `localhost` if there is no endpoint |
//! | `OTEL_SDK_DISABLED` | `true` disables traces |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, ... | the queue of spans to be exported |
//!
//! A setting that cannot be followed is a warning in the log, and the program goes on without it.
//!
//! Without the feature `otel`, traces are not exported, and the variables that begin with `OTEL_` have no effect.
//!
//! # What is exported
//!
//! The resource of a span has `service.name`, `service.version` (see [`Telemetry::service_version`]), `host.name`, and as
//! `service.instance.id` the id of the host, as `jetway doctor` and `nats micro ls` show it. A span `step <node>` has
//! `jetway.workflow`, `jetway.run_id`, `jetway.incarnation`, `jetway.node`, `jetway.item_id`, `jetway.attempt` and `jetway.outcome`;
//! if the node failed, also if an edge handles it, its status is an error with the message, and `error.type` is the kind.
//! A node with `#[retry]` has a span `try <number>` for each call. The span of a child run is below that of its parent, and
//! is linked with the steps that asked for it and that took its result. Times are those of the server, in microseconds, and a
//! span covers the spans below it.
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
use std::{env, sync::Arc};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The default log filter. async-nats logs at `info` what Jetway logs anyway.
const DEFAULT_LOG: &str = "info,async_nats=warn";

/// Starts logging at `info` (or as `RUST_LOG` says), and exporting traces if the environment names a collector.
///
/// # Errors
/// The process has a `tracing` subscriber already.
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

/// Sets the host whose id is in the exported spans.
pub(crate) fn set_host(id: &str) {
    otel::set_host(id);
}

/// What a program is called in its traces.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "traces are not exported"))]
struct ServiceName {
    name: String,
    version: Option<String>,
}

/// Configures telemetry with other settings than those of [`init`].
#[derive(Debug, Clone)]
pub struct Telemetry {
    service: ServiceName,
    default_log: String,
}

impl Telemetry {
    /// The settings of [`init`].
    pub fn new(service_name: &str) -> Self {
        let service = ServiceName { name: service_name.to_owned(), version: None };
        Self { service, default_log: DEFAULT_LOG.to_owned() }
    }

    /// The version of the program, as `service.version` in traces.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), jetway::telemetry::TelemetryError> {
    /// use jetway::telemetry::Telemetry;
    ///
    /// let _telemetry = Telemetry::new("orders").service_version(env!("CARGO_PKG_VERSION")).init()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn service_version(mut self, version: &str) -> Self {
        self.service.version = Some(version.to_owned());
        self
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
        let mut warnings = Vec::new();
        let filter = match env::var(EnvFilter::DEFAULT_ENV).map(|filter| filter.parse::<EnvFilter>()) {
            Ok(Ok(filter)) => filter,
            Ok(Err(error)) => {
                warnings.push(format!("RUST_LOG is not a log filter, using {:?}: {error}", self.default_log));
                self.default_log.parse()?
            }
            Err(_unset) => self.default_log.parse()?,
        };
        let export = Export::from_env(&self.service, &mut warnings);
        let spans = export.as_ref().map(Export::layer);
        tracing_subscriber::registry()
            .with(spans)
            .with(log::layer().with_filter(filter))
            .try_init()
            .map_err(|_subscriber_exists| TelemetryError::AlreadyInitialised)?;
        otel::started(export.as_ref());
        for warning in warnings {
            tracing::warn!("{warning}");
        }
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
}
