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
use std::{fmt, time::Duration};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// The most that is read of an answer.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Sends requests on the runtime of the exporter, whichever thread asks for them.
pub(super) struct RuntimeClient {
    runtime: Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl RuntimeClient {
    pub(super) fn new(runtime: Handle, tls: ClientConfig, timeout: Duration) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self { runtime, client: Client::builder(TokioExecutor::new()).build(connector), timeout }
    }
}

#[async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, timeout) = (self.client.clone(), self.timeout);
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        // The timer belongs to the runtime too.
        let sent = self.runtime.spawn(async move { tokio::time::timeout(timeout, exchange).await });
        AbortOnDropHandle::new(sent).await??
    }
}

impl fmt::Debug for RuntimeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeClient").finish_non_exhaustive()
    }
}
