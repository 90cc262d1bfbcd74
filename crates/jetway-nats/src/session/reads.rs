//! Reads of stored messages, whoever has stored them.
//!
//! The headers of a stored message can end the connection over which it arrives, see [`RenewedConnection`]. So messages are read
//! over a connection of their own. If that ends in the middle of a read, the read is done again with requests that give the
//! message as JSON, over the connection of the host. A message whose headers cannot be parsed then counts as one without
//! headers.

use super::{Connection, Failure, RenewedConnection, api, direct::Page};
use crate::config::NatsConfig;
use async_nats::jetstream::message::StreamMessage;
use jetway_engine::backend::BackendError;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long it may take until it is known that a connection has ended over which a read has failed.
const ENDS_WITHIN: Duration = Duration::from_millis(200);

/// The connection over which stored messages are read.
#[derive(Debug)]
pub(crate) struct Reads {
    main: Arc<Connection>,
    connection: RenewedConnection,
}

impl Reads {
    pub(crate) fn new(config: &NatsConfig, main: Arc<Connection>) -> Self {
        Self { main, connection: RenewedConnection::new(config, "reads") }
    }

    /// The connection.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn get(&self) -> Result<Arc<Connection>, Failure> {
        let unreachable = |error: BackendError| Failure::NoAnswer(error.to_string());
        self.connection.get().await.map_err(unreachable)
    }

    /// The latest connection, if there was one.
    pub(crate) fn latest_connection(&self) -> Option<Arc<Connection>> {
        self.connection.latest()
    }

    /// Whether a read has failed with this because its connection has ended: then it has to be done again in another way.
    pub(crate) async fn is_lost(&self, connection: &Connection, failure: &Failure) -> bool {
        // Who makes again what is missing listens there.
        self.main.note(failure);
        self.has_ended(connection).await
    }

    /// Whether a message has ended the connection.
    pub(crate) async fn has_ended(&self, connection: &Connection) -> bool {
        let mut state = connection.state.clone();
        let ended = async { while state.changed().await.is_ok() {} };
        let is_lost = timeout(ENDS_WITHIN, ended).await.is_ok();
        if is_lost {
            tracing::warn!(
                "a stored message has ended the connection over which it was read; reading it in another way"
            );
        }
        is_lost
    }

    /// The latest message of a subject, after the connection was lost.
    pub(crate) async fn latest(&self, stream: &str, subject: &str) -> Result<Option<StreamMessage>, Failure> {
        api::latest(&self.main, stream, subject).await
    }

    /// The first message of a subject, wildcards allowed, from a sequence on, after the connection was lost.
    pub(crate) async fn first_from(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
    ) -> Result<Option<StreamMessage>, Failure> {
        let found = api::first_from(&self.main, stream, subject, from).await?;
        Ok(found.map(|found| found.message))
    }

    /// Up to `most` messages from a sequence on, after the connection was lost.
    pub(crate) async fn page(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
        most: usize,
    ) -> Result<Page, Failure> {
        let (mut page, mut from) = (Page::default(), from);
        while page.messages.len() < most {
            let Some(message) = self.first_from(stream, subject, from).await? else { return Ok(page) };
            from = message.sequence + 1;
            page.messages.push(message);
        }
        page.pending = 1;
        Ok(page)
    }

    /// The latest messages of some subjects, after the connection was lost.
    pub(crate) async fn latest_of_some<'a>(
        &self,
        stream: &str,
        subjects: impl IntoIterator<Item = &'a String>,
    ) -> Result<Page, Failure> {
        let mut page = Page::default();
        for subject in subjects {
            page.messages.extend(self.latest(stream, subject).await?);
        }
        Ok(page)
    }

    /// The latest messages of each subject that matches, after the connection was lost.
    pub(crate) async fn latest_of_each(&self, stream: &str, filter: &str) -> Result<Page, Failure> {
        let subjects = api::subjects(&self.main, stream, filter).await?;
        self.latest_of_some(stream, subjects.keys()).await
    }
}
