//! An exporter that logs lost spans, at a limited rate.

use super::{http_client::Reason, settings::Protocol};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The minimum time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Passes spans to another exporter, and logs the spans that it fails to export.
#[derive(Debug)]
pub(super) struct ReportingExporter<E> {
    inner: E,
    endpoint: String,
    protocol: &'static str,
    /// Why the last request failed, where the error does not say so.
    reason: Reason,
    losses: Mutex<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    /// Spans lost since the last warning.
    unreported: usize,
    /// Whether the last export failed.
    failing: bool,
    last_warning: Option<Instant>,
}

/// What to log after an export.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    Lost(usize),
    Recovered,
}

impl Losses {
    fn note(&mut self, spans: usize, failed: bool, now: Instant) -> Option<Report> {
        if !failed {
            return std::mem::take(&mut self.failing).then_some(Report::Recovered);
        }
        self.failing = true;
        self.unreported += spans;
        if self.last_warning.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            return None;
        }
        self.last_warning = Some(now);
        Some(Report::Lost(std::mem::take(&mut self.unreported)))
    }
}

impl<E> ReportingExporter<E> {
    pub(super) fn new(inner: E, endpoint: &str, protocol: Protocol, reason: Reason) -> Self {
        let protocol = match protocol {
            Protocol::Grpc => "gRPC",
            Protocol::HttpProtobuf => "HTTP",
        };
        Self { inner, endpoint: endpoint.to_owned(), protocol, reason, losses: Mutex::default() }
    }

    fn report(&self, spans: usize, failure: Option<&OTelSdkError>) {
        let report = {
            let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
            losses.note(spans, failure.is_some(), Instant::now())
        };
        match (report, failure) {
            (Some(Report::Lost(spans)), Some(error)) => tracing::warn!(
                endpoint = self.endpoint,
                spans,
                %error,
                reason = self.reason.take(),
                "cannot export traces, dropping them; check that a collector listens on the endpoint for OTLP over {}",
                self.protocol
            ),
            (Some(Report::Recovered), _) => {
                tracing::info!(endpoint = self.endpoint, "exporting traces again")
            }
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for ReportingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.inner.export(batch).await;
        self.report(spans, exported.as_ref().err());
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_logged_once_per_interval_and_all_are_counted() {
        let start = Instant::now();
        let mut losses = Losses::default();
        assert_eq!(losses.note(5, false, start), None);
        assert_eq!(losses.note(5, true, start), Some(Report::Lost(5)));
        assert_eq!(losses.note(7, true, start + Duration::from_secs(1)), None);
        assert_eq!(losses.note(1, true, start + WARNING_INTERVAL), Some(Report::Lost(8)));
        assert_eq!(losses.note(1, false, start + WARNING_INTERVAL), Some(Report::Recovered));
        assert_eq!(losses.note(1, false, start + WARNING_INTERVAL), None);
    }
}
