//! An OTLP collector that keeps the spans it is sent.

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(String, Span)>>>, Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if let Some(authorization) = authorization {
            self.1.lock().unwrap_or_else(PoisonError::into_inner).push(authorization.to_owned());
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| text(&resource.attributes)).unwrap_or_default();
            let instance = attributes.get("service.instance.id").cloned().unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans.map(|span| (instance.clone(), span)));
        }
        drop(kept);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on a free port of this machine; it ends when it is dropped.
pub(crate) struct Collector {
    spans: Spans,
    endpoint: String,
    server: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        Self::serving("http", Server::builder()).await
    }

    /// The same over TLS, with a certificate and its key in PEM.
    pub(crate) async fn over_tls(certificate: &str, key: &str) -> Result<Self> {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::serving("https", Server::builder().tls_config(tls)?).await
    }

    async fn serving(scheme: &str, mut server: Server) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("{scheme}://{}", listener.local_addr()?);
        let spans = Spans::default();
        let service = TraceServiceServer::new(spans.clone());
        let incoming = TcpIncoming::from(listener);
        let server = tokio::spawn(async move {
            let served = server.add_service(service).serve_with_incoming(incoming).await;
            served.expect("the collector serves");
        });
        Ok(Self { spans, endpoint, server })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The values of the header `authorization` that came with spans.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.spans.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans of one run, as they have come so far.
    pub(crate) fn of_run(&self, run_id: &str) -> Vec<Span> {
        self.kept(run_id).into_iter().map(|(_, span)| span).collect()
    }

    /// The runs that have their own span below this one.
    pub(crate) fn runs_below(&self, span: &Span) -> Vec<String> {
        let spans = self.spans.0.lock().unwrap_or_else(PoisonError::into_inner);
        let below = spans.iter().map(|(_, below)| below).filter(|below| below.parent_span_id == span.span_id);
        let below = below.filter(|below| below.name.starts_with("run "));
        below.filter_map(|below| attributes(below).remove("jetway.run_id")).collect()
    }

    /// How many spans of one run each process has sent.
    pub(crate) fn instances_of_run(&self, run_id: &str) -> BTreeMap<String, usize> {
        let mut instances = BTreeMap::new();
        for (instance, _) in self.kept(run_id) {
            *instances.entry(instance).or_default() += 1;
        }
        instances
    }

    fn kept(&self, run_id: &str) -> Vec<(String, Span)> {
        let spans = self.spans.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_run = |(_, span): &&(String, Span)| {
            attributes(span).get("jetway.run_id").is_some_and(|id| id == run_id)
        };
        spans.iter().filter(of_run).cloned().collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A span's attributes, as text.
pub(crate) fn attributes(span: &Span) -> BTreeMap<String, String> {
    text(&span.attributes)
}

fn text(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .iter()
        .filter_map(|attribute| {
            let value = attribute.value.as_ref()?.value.as_ref()?;
            Some((attribute.key.clone(), text(value)))
        })
        .collect()
}
