//! Reads of single messages: from the leader of the stream, or from any replica where that is safe.

use super::{Connection, Failure, api, closed_during_setup, direct};
use async_nats::jetstream::{message::StreamMessage, stream};
use jetway_engine::backend::BackendError;
use std::sync::Arc;

/// Reads messages of one stream.
///
/// A replica that is not the leader may lack what was acknowledged a moment ago. So a read that a decision rests on goes
/// to the leader. If the stream is known to have one replica, that replica is the leader, and a direct read costs the
/// server less.
#[derive(Debug)]
pub(crate) struct StreamReader {
    connection: Arc<Connection>,
    stream: String,
    direct_stream: stream::Stream<()>,
    one_replica: bool,
}

impl StreamReader {
    /// # Errors
    /// The connection is closed.
    pub(crate) async fn new(
        connection: Arc<Connection>,
        stream: String,
        one_replica: bool,
    ) -> Result<Self, BackendError> {
        let direct_stream = connection.jetstream.get_stream_no_info(&stream).await;
        let direct_stream = direct_stream.map_err(closed_during_setup)?;
        Ok(Self { connection, stream, direct_stream, one_replica })
    }

    /// The latest message of a subject, including every write that was acknowledged before.
    pub(crate) async fn latest(&self, subject: String) -> Result<Option<StreamMessage>, Failure> {
        match self.one_replica {
            true => direct::latest(&self.direct_stream, subject).await,
            false => api::latest(&self.connection, &self.stream, &subject).await,
        }
    }

    /// The message of a subject that is written once and never changes. Any replica that has it may answer; if one does
    /// not have it, the leader decides.
    pub(crate) async fn immutable(&self, subject: String) -> Result<Option<StreamMessage>, Failure> {
        if self.one_replica {
            return direct::latest(&self.direct_stream, subject).await;
        }
        match direct::latest(&self.direct_stream, subject.clone()).await? {
            Some(message) => Ok(Some(message)),
            None => api::latest(&self.connection, &self.stream, &subject).await,
        }
    }

    /// The first message of a subject, wildcards allowed, from a sequence on. Any replica may answer.
    pub(crate) async fn first_from(
        &self,
        subject: String,
        sequence: u64,
    ) -> Result<Option<StreamMessage>, Failure> {
        direct::first_from(&self.direct_stream, subject, sequence).await
    }
}
