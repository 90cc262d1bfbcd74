//! Heartbeats: a bucket with the last one of each step, whose entries expire.

use super::NatsBackend;
use crate::session::Failure;
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use jetway_engine::backend::{BackendError, BeatKey, Beats};

#[async_trait]
impl Beats for NatsBackend {
    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError> {
        let failed = |failure: Failure| {
            self.connection.note(&failure);
            failure.cannot(format!("store a heartbeat of run {}", key.run))
        };
        let subject = self.connection.subject_of_write(self.names.beat(key).into());
        let sent = self.connection.jetstream.publish_with_headers(subject, HeaderMap::new(), detail).await;
        let ack = sent.map_err(Failure::from).map_err(failed)?;
        ack.await.map(drop).map_err(Failure::from).map_err(failed)
    }

    async fn last_beat(&self, key: &BeatKey) -> Result<Option<Bytes>, BackendError> {
        let read = self.reads.latest(&self.streams.beats, &self.names.beat(key)).await;
        let found = read.map_err(|failure| {
            failure.cannot(format!("read the last heartbeat of item {} of run {}", key.item, key.run))
        })?;
        Ok(found.map(|message| message.payload))
    }
}
