//! Logs on standard error, and traces to an OpenTelemetry collector such as Jaeger.
//!
//! ```no_run
//! # fn main() -> Result<(), jetway::telemetry::TelemetryError> {
//! let _telemetry = jetway::telemetry::init("orders")?; // flushes when it is dropped
//! # Ok(())
//! # }
//! ```
//!
//! One run is one trace: a span `run <workflow>` with a span `step <node>` below it for every attempt at a step. Spans
//! that a node opens with `tracing` are children of its step. The trace of the caller that started the run, where the
//! start message carries a `traceparent`, is the parent of all that.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `RUST_LOG` | what is logged, such as `info,orders=debug`; default `info,async_nats=warn` |
//! | `NO_COLOR` | no colour in the log, even on a terminal |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | where traces go, such as `http://127.0.0.1:4317` (OTLP over gRPC); unset: nowhere |
//! | `OTEL_SERVICE_NAME` | the service's name in traces, before the one in the code |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `traceidratio` and `0.1` keep every tenth run, with all its steps |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, ... | the queue of spans that wait for export |
//! | `OTEL_SDK_DISABLED` | `true`: no traces |
//!
//! # Promise
//!
//! Work never waits for telemetry. Spans wait in a bounded queue; when the collector cannot be reached, or is slower
//! than the work, they are dropped, and a warning says so once a minute at most.

mod export;
mod fixed_ids;
mod log;
mod otel_tracer;
mod propagation;
mod remote;
mod reported;

pub use fixed_ids::FixedIds;
pub use otel_tracer::OtelTracer;
pub use propagation::current_trace;

use export::Export;
use jetway_engine::{PlainTracer, Tracer};
use opentelemetry_otlp::ExporterBuildError;
use std::sync::{Arc, OnceLock};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

/// What is logged where nothing else is said. The client library tells of every connection that Jetway tells of too.
const DEFAULT_LOG: &str = "info,async_nats=warn";

/// What writes the spans of runs in this process, once traces are exported.
static TRACER: OnceLock<OtelTracer> = OnceLock::new();

/// Logs at `info` (or as `RUST_LOG` says), and traces as the environment says, under this service name.
///
/// # Errors
/// The process has telemetry already, or the environment names an endpoint that cannot be one.
pub fn init(service_name: &str) -> Result<TelemetryGuard, TelemetryError> {
    Telemetry::new(service_name).init()
}

/// What writes the spans of runs in this process: exports them after [`init`] has found an endpoint, and only names
/// them in the log otherwise.
pub fn tracer() -> Arc<dyn Tracer> {
    match TRACER.get() {
        Some(tracer) => Arc::new(tracer.clone()),
        None => Arc::new(PlainTracer),
    }
}

/// Telemetry to be set up with other settings than those of [`init`].
#[derive(Debug, Clone)]
pub struct Telemetry {
    service_name: String,
    default_log: String,
}

impl Telemetry {
    /// Settings as [`init`] uses them.
    pub fn new(service_name: &str) -> Self {
        Self { service_name: service_name.to_owned(), default_log: DEFAULT_LOG.to_owned() }
    }

    /// What is logged where `RUST_LOG` is not set, such as `warn` or `info,orders=debug`.
    #[must_use]
    pub fn default_log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.default_log);
        self
    }

    /// Starts logging and exporting.
    ///
    /// # Errors
    /// As [`init`].
    pub fn init(self) -> Result<TelemetryGuard, TelemetryError> {
        let filter = EnvFilter::try_from_default_env().or_else(|_unset_or_bad| self.default_log.parse())?;
        let export = Export::from_env(&self.service_name)?;
        let spans = export.as_ref().map(|export| layer(&export.tracer()));
        tracing_subscriber::registry()
            .with(spans)
            .with(log::layer().with_filter(filter))
            .try_init()
            .map_err(|_there_is_one| TelemetryError::AlreadyInitialised)?;
        if let Some(export) = &export {
            TRACER.get_or_init(|| export.tracer());
        }
        Ok(TelemetryGuard { export })
    }
}

/// The layer that exports spans and events of `info` and above, for programs that set up `tracing` by themselves.
/// [`OtelTracer`] needs it, with a tracer whose provider takes its ids from [`FixedIds`].
pub fn layer<S>(tracer: &OtelTracer) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    // What the exporter itself does, and the wire below it, is not what a trace of a run is about.
    const WIRE: [&str; 7] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry", "async_nats"];
    let of_the_wire = |target: &str| {
        WIRE.iter().any(|name| {
            target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
        })
    };
    tracing_opentelemetry::layer()
        .with_tracer(tracer.sdk().clone())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(tracing_subscriber::filter::filter_fn(move |metadata| {
            *metadata.level() <= LevelFilter::INFO && !of_the_wire(metadata.target())
        }))
}

/// Keeps telemetry going; dropping it sends what has not been sent yet, for a few seconds at most.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped: bind it to a name, as in `let _telemetry = ..`"]
pub struct TelemetryGuard {
    export: Option<Export>,
}

impl TelemetryGuard {
    /// Where traces go; `None` where they go nowhere.
    pub fn endpoint(&self) -> Option<&str> {
        self.export.as_ref().map(Export::endpoint)
    }
}

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// Something else in this process has set up `tracing`.
    #[error("this process has a tracing subscriber already: set up telemetry once, at the start of main")]
    AlreadyInitialised,
    /// The log filter in the code is not one.
    #[error("bad log filter: {0}")]
    BadFilter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter cannot be made from what the environment says.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The thread of the exporter cannot be started.
    #[error("traces cannot be exported: the exporter's thread does not start: {0}")]
    Thread(#[from] std::io::Error),
}
