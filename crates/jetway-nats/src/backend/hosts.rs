//! Live hosts: a bucket whose entries expire unless their hosts renew them.

use super::{NatsBackend, ticket_loss::server_id};
use crate::{
    names::{KV_DELETED, KV_OPERATION, REPLICAS, SERVER},
    provision::replicas,
    session::{Failure, api, direct},
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::clock::Clock;
use jetway_engine::backend::{BackendError, BackendErrorKind, HostInfo, Hosts};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

#[async_trait]
impl Hosts for NatsBackend {
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError> {
        let subject = self.names.host(&host.host)?;
        let no_room_at = self.connection.no_room_at().map(|at| at.to_string());
        let payload = serde_json::to_vec(&HostInfo { no_room_at, ..host.clone() }).map_err(|error| {
            let sentence = format!("cannot encode the announcement of host {}", host.host);
            BackendError::new(BackendErrorKind::Corrupt, sentence).caused_by(error)
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(SERVER, server_id(&self.connection));
        // Each is a request of an idle host, so only every second announcement asks.
        let asks = self.announcements.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let replicas = match asks {
            true => self.prepare_for_replicas().await,
            false => self.runs.facts().prepared_for(),
        };
        if let Some(replicas) = replicas {
            headers.insert(REPLICAS, replicas.to_string());
        }
        self.put(&host.host, subject, headers, payload.into()).await
    }

    async fn leave(&self, host: &str) -> Result<(), BackendError> {
        let mut headers = HeaderMap::new();
        headers.insert(KV_OPERATION, KV_DELETED);
        self.put(host, self.names.host(host)?, headers, Bytes::new()).await
    }

    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError> {
        let (stream, filter) = (&self.streams.hosts, self.names.hosts());
        let failed = |failure: Failure| failure.cannot("list the hosts");
        let connection = self.reads.get().await.map_err(failed)?;
        let read = match direct::latest_of_each(&connection, stream, &filter).await {
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                self.reads.latest_of_each(stream, &filter).await
            }
            read => read,
        };
        let page = read.map_err(failed)?;
        let mut hosts: Vec<HostInfo> = page
            .messages
            .iter()
            .filter(|message| message.headers.get(KV_OPERATION).is_none())
            .filter_map(|message| match serde_json::from_slice(&message.payload) {
                Ok(host) => Some(host),
                Err(error) => {
                    tracing::warn!(subject = %message.subject, %error, "cannot decode the announcement of a host");
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

    fn clock(&self) -> Arc<dyn Clock> {
        self.connection.clock()
    }
}

impl NatsBackend {
    /// Reads how many replicas the namespace is set up for, and reads snapshots from then on in a way that is exact with so
    /// many. Whoever adds replicas waits for that. `None` if this user may not ask, or the server does not answer: then the
    /// way stays as it was.
    async fn prepare_for_replicas(&self) -> Option<usize> {
        if !self.inspects_streams {
            return None;
        }
        match api::stream_info(&self.connection, &self.streams.runs).await {
            Ok(info) => {
                self.runs.facts().learn(&info);
                let replicas = replicas::record_of(&info.config);
                self.runs.prepare_for(replicas);
                Some(replicas)
            }
            Err(failure) => {
                tracing::debug!(error = %failure, "cannot read the number of replicas");
                None
            }
        }
    }

    async fn put(
        &self,
        host: &str,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), BackendError> {
        let failed = |failure: Failure| {
            self.connection.note(&failure);
            failure.cannot(format!("announce host {host}"))
        };
        let subject = self.connection.subject_of_write(subject.into());
        let sent = self.connection.jetstream.publish_with_headers(subject, headers, payload).await;
        let ack = sent.map_err(Failure::from).map_err(failed)?;
        ack.await.map(drop).map_err(Failure::from).map_err(failed)
    }
}
