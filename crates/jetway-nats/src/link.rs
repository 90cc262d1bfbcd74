//! The one connection of a backend, and what is known about its state.

use crate::error::{Failure, value};
use async_nats::{Client, Event, ServerError, jetstream, jetstream::response::Response};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use tokio::sync::watch;

/// The one connection of a backend. Cheap to share behind an [`Arc`].
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) state: watch::Receiver<LinkState>,
}

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkState {
    /// Whether there is a connection now.
    pub(crate) connected: bool,
    /// How often a connection was made. Answers to what was sent over an earlier one may be lost.
    pub(crate) connects: u64,
    /// The latest refusal that the server sent outside of any answer: permissions are refused in that way only.
    pub(crate) refusal: Option<String>,
}

impl LinkState {
    /// The refusal as the end of a sentence; empty where there was none.
    pub(crate) fn refused(&self) -> String {
        self.refusal.as_ref().map_or_else(String::new, |refusal| format!("; the server says: {refusal}"))
    }
}

impl Link {
    /// A request to the JetStream API: `STREAM.INFO.<stream>` and the like.
    pub(crate) async fn api<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        operation: String,
        body: &B,
    ) -> Result<T, Failure> {
        value(self.jetstream.request::<_, _, Response<T>>(operation, body).await)
    }

    /// Waits until the server has dealt with everything that was sent before.
    pub(crate) async fn round_trip(&self) -> Result<(), Failure> {
        crate::jsapi::account(self).await.map(drop)
    }

    /// Whether the connection has ended for good. The client library makes a new one after every loss, unless it fails
    /// itself.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.has_changed().is_err()
    }

    /// The connection's state now.
    pub(crate) fn now(&self) -> LinkState {
        self.state.borrow().clone()
    }
}

/// Follows the events of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Follower(Arc<watch::Sender<LinkState>>);

impl Follower {
    pub(crate) fn new() -> (Self, watch::Receiver<LinkState>) {
        let (sender, receiver) = watch::channel(LinkState::default());
        (Self(Arc::new(sender)), receiver)
    }

    /// Whether there ever was a connection.
    pub(crate) fn was_connected(&self) -> bool {
        self.0.borrow().connects > 0
    }

    pub(crate) fn follow(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::debug!("connected to the nats-server");
                self.0.send_modify(|state| {
                    state.connected = true;
                    state.connects += 1;
                });
            }
            Event::Disconnected => {
                tracing::warn!("the connection to the nats-server is lost, trying again");
                self.0.send_modify(|state| state.connected = false);
            }
            Event::LameDuckMode => tracing::info!("the nats-server is about to shut down"),
            Event::Draining | Event::Closed => {
                tracing::debug!(%event, "the connection to the nats-server ends");
                self.0.send_modify(|state| state.connected = false);
            }
            Event::SlowConsumer(subscription) => {
                // What was dropped is delivered again after its lease, but the host is out of its depth.
                tracing::warn!(
                    subscription,
                    "messages from the nats-server came faster than they were taken"
                );
            }
            Event::ServerError(ServerError::Other(refusal)) => {
                tracing::warn!(refusal, "the nats-server refused something");
                self.0.send_modify(|state| state.refusal = Some(refusal.clone()));
            }
            Event::ServerError(error) => tracing::warn!(%error, "the nats-server reports an error"),
            Event::ClientError(error) => tracing::debug!(%error, "no connection to the nats-server yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted() {
        let (follower, state) = Follower::new();
        assert!(!follower.was_connected());
        follower.follow(&Event::Connected);
        follower.follow(&Event::Disconnected);
        assert_eq!((state.borrow().connected, state.borrow().connects), (false, 1));
        follower.follow(&Event::Connected);
        assert_eq!((state.borrow().connected, state.borrow().connects), (true, 2));
    }

    #[test]
    fn a_refusal_is_kept_for_the_errors_that_it_explains() {
        let (follower, state) = Follower::new();
        follower.follow(&Event::ServerError(ServerError::Other("permissions violation".to_owned())));
        assert_eq!(state.borrow().refused(), "; the server says: permissions violation");
    }
}
