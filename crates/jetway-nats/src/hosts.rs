//! Which hosts are alive: a bucket whose entries expire unless they are renewed.

use crate::{
    backend::NatsBackend,
    direct,
    error::Failure,
    losses::whereabouts,
    names::{KV_OPERATION, SERVER},
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BackendErrorKind, HostInfo, Hosts};
use std::time::Duration;

/// What `nats kv del` writes in place of a value.
const DELETED: &str = "DEL";

#[async_trait]
impl Hosts for NatsBackend {
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError> {
        let subject = self.names.host(&host.host)?;
        let payload = serde_json::to_vec(host).map_err(|error| {
            let sentence = format!("host {} cannot be announced", host.host);
            BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(SERVER, whereabouts(&self.link));
        self.put(&host.host, subject, headers, payload.into()).await
    }

    async fn leave(&self, host: &str) -> Result<(), BackendError> {
        let mut headers = HeaderMap::new();
        headers.insert(KV_OPERATION, DELETED);
        self.put(host, self.names.host(host)?, headers, Bytes::new()).await
    }

    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError> {
        let read = direct::latest_of_each(&self.link, &self.streams.hosts, &self.names.hosts()).await;
        let read = read.map_err(|failure| failure.cannot("list the hosts"))?;
        let mut hosts: Vec<HostInfo> = read
            .messages
            .iter()
            .filter(|message| message.headers.get(KV_OPERATION).is_none())
            .filter_map(|message| match serde_json::from_slice(&message.payload) {
                Ok(host) => Some(host),
                Err(error) => {
                    tracing::warn!(subject = %message.subject, %error, "a host announces itself in another form");
                    None
                }
            })
            .collect();
        hosts.sort_by(|one, other| one.host.cmp(&other.host));
        Ok(hosts)
    }

    fn announce_every(&self) -> Duration {
        self.config.announce_every
    }
}

impl NatsBackend {
    async fn put(
        &self,
        host: &str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), BackendError> {
        let failed = |failure: Failure| failure.cannot(format!("announce host {host}"));
        let sent = self.link.jetstream.publish_with_headers(subject, headers, payload).await;
        let answer = sent.map_err(Failure::from).map_err(failed)?;
        answer.await.map(drop).map_err(Failure::from).map_err(failed)
    }
}
