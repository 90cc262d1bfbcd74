//! What the service receives. If the connection for clients has ended, it subscribes again over a new one.

use super::{
    discovery::{Discovery, Questions},
    endpoints::{self, OfferedEndpoint, Requests},
};
use crate::{
    backend::NatsBackend,
    names::{DiscoveryVerb, SERVICE},
    session::{Backoff, api},
};
use async_nats::{Message, SubscribeError};
use futures::StreamExt as _;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{sync::Arc, time::Duration};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// What arrives at the service.
pub(super) enum Received {
    Request(Arc<OfferedEndpoint>, Message),
    Question(DiscoveryVerb, Message),
}

/// The subscriptions of the service over one connection.
pub(super) struct Subscriptions {
    requests: Requests,
    questions: Questions,
}

impl Subscriptions {
    /// Subscribes.
    ///
    /// # Errors
    /// There is no connection, or it ends.
    pub(super) async fn new(backend: &NatsBackend, discovery: &Discovery) -> Result<Self, BackendError> {
        let connection = backend.connection_for_clients().await?;
        let client = &connection.client;
        let requests =
            endpoints::subscribe(client, discovery.endpoints()).await.map_err(|error| not_served(&error))?;
        let questions = discovery.subscribe(client).await.map_err(|error| not_served(&error))?;
        // The server processes a connection in order: when it replies to this, it has processed the subscriptions.
        api::round_trip(&connection).await.map_err(|failure| failure.cannot("start the service"))?;
        Ok(Self { requests, questions })
    }

    /// Subscribes until that succeeds.
    pub(super) async fn again(backend: &NatsBackend, discovery: &Discovery) -> Self {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        loop {
            backoff.wait().await;
            match Self::new(backend, discovery).await {
                Ok(subscriptions) => return subscriptions,
                Err(error) => tracing::warn!(%error, "cannot receive requests of clients: trying again"),
            }
        }
    }

    /// The next message. `None` if the connection has ended.
    pub(super) async fn next(&mut self) -> Option<Received> {
        tokio::select! {
            biased;
            request = self.requests.next() => {
                request.map(|(endpoint, message)| Received::Request(endpoint, message))
            }
            question = self.questions.next() => {
                question.map(|(verb, message)| Received::Question(verb, message))
            }
        }
    }
}

fn not_served(error: &SubscribeError) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, format!("cannot start the service {SERVICE}: {error}"))
}
