//! What stands in for the export of traces in a build without the feature `otel`.

use super::ServiceName;
use jetway_core::clock::Clock;
use jetway_engine::Tracer;
use jetway_state::trace::TraceHeaders;
use std::{env, sync::Arc};
use tracing_subscriber::layer::Identity;

/// There is no export in this build.
#[derive(Debug)]
pub(super) enum Export {}

impl Export {
    pub(super) fn from_env(_service: &ServiceName, _warnings: &mut Vec<String>) -> Option<Self> {
        None
    }

    pub(super) fn layer(&self) -> Identity {
        match *self {}
    }

    pub(super) fn endpoint(&self) -> &str {
        match *self {}
    }
}

pub(super) fn tracer() -> Option<Arc<dyn Tracer>> {
    None
}

pub(super) fn current_trace() -> TraceHeaders {
    TraceHeaders::default()
}

/// There are no spans to be timed.
pub(super) fn set_clock(_clock: Arc<dyn Clock>) {}

/// There are no spans of a host.
pub(super) fn set_host(_id: &str) {}

/// Called after the subscriber of the process is set.
pub(super) fn started(_export: Option<&Export>) {
    if let Some(endpoint) = env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
        tracing::warn!(
            ?endpoint,
            "traces are not exported: this program is built without the feature `otel` of the crate jetway"
        );
    }
}
