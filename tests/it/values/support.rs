//! A host in this process, and a client that knows the wire and nothing else.

use crate::support::DEADLINE;
use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use futures::StreamExt;
use jetway::{
    Client, Host, HostHandle, Namespace, NatsConfig, RunKey,
    client::{DoneView, Json},
    host::HostBuilder,
};
use jetway_testing::{shared_server, unique_namespace};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A result, with its parts as they came over the wire.
#[derive(Debug, Deserialize)]
pub(super) struct RawDone {
    pub(super) status: String,
    pub(super) output: Json,
    pub(super) outputs: Vec<Json>,
    pub(super) error: Option<BTreeMap<String, serde_json::Value>>,
}

pub(super) struct Fixture {
    pub(super) client: Client,
    pub(super) nats: async_nats::Client,
    pub(super) url: String,
    pub(super) ns: String,
    host: HostHandle,
}

impl Fixture {
    /// `serves` adds the workflows.
    pub(super) async fn start(label: &str, serves: impl FnOnce(HostBuilder) -> HostBuilder) -> Result<Self> {
        let (url, ns) = (shared_server().await.url(), unique_namespace(label));
        let config = NatsConfig { namespace: Namespace::new(&ns)?, ..NatsConfig::new(&url) };
        let host = serves(Host::builder().nats_config(config.clone())).build().await?.start().await?;
        let client = Client::connect_with(config).await?;
        Ok(Self { client, nats: async_nats::connect(&url).await?, url, ns, host })
    }

    /// Publishes a start message, and returns the bytes of the result message.
    pub(super) async fn published(&self, workflow: &str, run: &str, input: &str) -> Result<Vec<u8>> {
        let done = format!("jetway.{}.done.{workflow}.{run}", self.ns);
        let mut results = self.nats.subscribe(done).await?;
        let mut headers = HeaderMap::new();
        headers.insert("Jetway-Run-Id", run);
        let subject = format!("jetway.{}.start.{workflow}", self.ns);
        self.nats.publish_with_headers(subject, headers, input.to_owned().into()).await?;
        let result = tokio::time::timeout(DEADLINE, results.next()).await?;
        Ok(result.context("the connection is open")?.payload.to_vec())
    }

    /// Requests a start, waits for its result, and returns the bytes of the answer.
    pub(super) async fn requested(&self, workflow: &str, run: &str, input: &str) -> Result<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert("Jetway-Run-Id", run);
        headers.insert("Jetway-Wait", "30s");
        let subject = format!("jetway.{}.api.start.{workflow}", self.ns);
        let request = async_nats::Request::new().headers(headers).payload(input.to_owned().into());
        let answer = self.nats.send_request(subject, request.timeout(Some(DEADLINE))).await?;
        ensure!(!answer.payload.is_empty(), "{:?}", answer.headers);
        Ok(answer.payload.to_vec())
    }

    /// A request to the service. An error is its code and sentence.
    pub(super) async fn ask(&self, rest: &str, payload: &str) -> Result<Result<Vec<u8>, (String, String)>> {
        let subject = format!("jetway.{}.api.{rest}", self.ns);
        let answer = self.nats.request(subject, payload.to_owned().into()).await?;
        let header = |name: &str| {
            let value = answer.headers.as_ref().and_then(|headers| headers.get(name));
            value.map(ToString::to_string)
        };
        Ok(match (header("Nats-Service-Error-Code"), header("Nats-Service-Error")) {
            (Some(code), Some(sentence)) => Err((code, sentence)),
            _ => Ok(answer.payload.to_vec()),
        })
    }

    pub(super) async fn result(&self, run: &RunKey) -> Result<DoneView> {
        Ok(self.client.result(run, DEADLINE).await?)
    }

    pub(super) async fn stop(self) {
        self.host.drain().await;
    }
}

pub(super) fn key(workflow: &str, run: &str) -> Result<RunKey> {
    Ok(RunKey::new(jetway::WorkflowName::new(workflow)?, jetway::RunId::new(run)?))
}
