//! The HTTP client of the exporter, for OTLP over HTTP.

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::ClientConfig;
use std::{
    error::Error,
    fmt,
    iter::successors,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// The most that is read of an answer.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Sends requests on the runtime of the exporter, whichever thread asks for them.
///
/// The exporter does not tell why a request failed, so the reason is kept for the log.
pub(super) struct RuntimeClient {
    runtime: Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    reason: Reason,
}

/// Why the last request failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Reason(Arc<Mutex<Option<String>>>);

impl Reason {
    /// Takes the reason.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps an error with its causes.
    fn keep(&self, error: &HttpError) {
        let first: &(dyn Error + 'static) = error.as_ref();
        let causes = successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

impl RuntimeClient {
    pub(super) fn new(runtime: Handle, tls: ClientConfig, timeout: Duration, reason: Reason) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self { runtime, client: Client::builder(TokioExecutor::new()).build(connector), timeout, reason }
    }
}

#[async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, timeout) = (self.client.clone(), self.timeout);
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The timer belongs to the runtime too.
        let sent = self.runtime.spawn(async move { tokio::time::timeout(timeout, exchange).await });
        let answer: Result<_, HttpError> = match AbortOnDropHandle::new(sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(late)) => Err(late.into()),
            Err(stopped) => Err(stopped.into()),
        };
        answer.inspect_err(|error| self.reason.keep(error))
    }
}

impl fmt::Debug for RuntimeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otel::{settings::Files, tls::Pem};

    #[tokio::test]
    async fn f10_a_failed_request_has_a_reason() {
        // A free port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = Pem::read(&Files::default(), &mut Vec::new()).for_http().unwrap();
        let reason = Reason::default();
        let client = RuntimeClient::new(Handle::current(), tls, Duration::from_secs(5), reason.clone());
        let request = Request::post(format!("https://127.0.0.1:{port}/")).body(Bytes::new()).unwrap();
        client.send_bytes(request).await.unwrap_err();
        let told = reason.take().unwrap();
        assert!(told.contains("refused"), "{told}");
        assert_eq!(reason.take(), None);
    }
}
