//! The host of this process, in the resource of its spans.
//!
//! The resource is made when telemetry starts, before there is a host. Spans come later.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The id of this process.
pub(super) const INSTANCE: Key = Key::from_static_str("service.instance.id");

/// The id of the latest host of this process.
static HOST: Mutex<Option<Arc<str>>> = Mutex::new(None);

/// Sets the host of the spans of this process. The latest host wins.
pub(in crate::telemetry) fn set_host(id: &str) {
    *HOST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::from(id));
}

/// The id of the latest host of this process.
pub(super) fn host() -> Option<Arc<str>> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Passes spans to another exporter. Their resource has the id of the host, as `jetway doctor` shows it.
pub(super) struct HostExporter<E>(Mutex<State<E>>);

struct State<E> {
    inner: Arc<E>,
    /// The resource without the host.
    resource: Resource,
    /// The host that `inner` knows.
    host: Option<Arc<str>>,
}

impl<E: SpanExporter> HostExporter<E> {
    pub(super) fn new(inner: E) -> Self {
        Self(Mutex::new(State {
            inner: Arc::new(inner),
            resource: Resource::builder_empty().build(),
            host: None,
        }))
    }

    fn with<R>(&self, call: impl FnOnce(&mut State<E>) -> R) -> R {
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E: SpanExporter> State<E> {
    /// Tells the exporter the resource with the host.
    fn set_host(&mut self, host: Option<Arc<str>>) {
        // One batch is exported at a time, so nobody else uses the exporter now.
        let Some(inner) = Arc::get_mut(&mut self.inner) else { return };
        inner.set_resource(&with_host(&self.resource, host.as_deref()));
        self.host = host;
    }
}

/// The resource of a host. An id that the environment gives stays.
fn with_host(resource: &Resource, host: Option<&str>) -> Resource {
    let attributes = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let host = host.filter(|_| !super::settings::resource_names(INSTANCE.as_str()));
    let host = host.map(|host| KeyValue::new(INSTANCE, host.to_owned()));
    Resource::builder_empty().with_attributes(attributes.chain(host)).build()
}

impl<E: SpanExporter> SpanExporter for HostExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let inner = self.with(|state| {
            let host = host();
            if host != state.host {
                state.set_host(host);
            }
            Arc::clone(&state.inner)
        });
        inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.with(|state| Arc::clone(&state.inner)).shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.with(|state| Arc::clone(&state.inner)).force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.with(|state| {
            state.resource = resource.clone();
            state.set_host(host());
        });
    }
}

impl<E> fmt::Debug for HostExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostExporter").finish_non_exhaustive()
    }
}
