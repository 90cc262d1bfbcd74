//! Traces, exported with OpenTelemetry.

mod export;
mod fixed_ids;
mod host;
mod http_client;
mod propagation;
mod remote;
mod reporting_exporter;
mod server_time;
mod settings;
mod tls;
mod tracer;

pub(super) use export::Export;
pub use fixed_ids::FixedIds;
pub(super) use host::set_host;
pub(super) use propagation::current_trace;
pub(super) use server_time::set_clock;
pub use tracer::OtelTracer;

use jetway_engine::Tracer;
use std::sync::{Arc, OnceLock};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// The tracer of this process, once traces are exported.
static TRACER: OnceLock<OtelTracer> = OnceLock::new();

/// The tracer of this process, if traces are exported.
pub(super) fn tracer() -> Option<Arc<dyn Tracer>> {
    TRACER.get().map(|tracer| Arc::new(tracer.clone()) as Arc<dyn Tracer>)
}

/// Called after the subscriber of the process is set.
pub(super) fn started(export: Option<&Export>) {
    if let Some(export) = export {
        TRACER.get_or_init(|| export.tracer());
    }
}

/// The layer that exports spans and events of level `info` and above, for programs that configure `tracing` themselves.
/// [`OtelTracer`] needs this layer, and a provider whose id generator is [`FixedIds`].
pub fn layer<S>(tracer: &OtelTracer) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    // Spans of the exporter and of the network libraries do not belong to the trace of a run.
    const NETWORK: [&str; 7] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry", "async_nats"];
    let is_network = |target: &str| {
        NETWORK.iter().any(|name| {
            target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
        })
    };
    tracing_opentelemetry::layer()
        .with_tracer(tracer.sdk().clone())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(move |metadata| {
            *metadata.level() <= LevelFilter::INFO && !is_network(metadata.target())
        }))
}
