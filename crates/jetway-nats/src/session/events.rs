//! Connection events of the client library, and the connection state that follows from them.

use async_nats::{Event, ServerError};
use std::sync::Arc;
use tokio::sync::watch;

/// The state of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConnectionState {
    /// Whether there is a connection now.
    pub(crate) connected: bool,
    /// How many times a connection was made. Replies to requests that went over an earlier one may be lost.
    pub(crate) connects: u64,
    /// The latest error that the server sent outside of any reply. Missing permissions are reported only in this way.
    pub(crate) server_error: Option<String>,
    /// How many such errors there were.
    pub(crate) server_errors: u64,
    /// Why the connection cannot be made again.
    reconnect_error: Option<String>,
}

impl ConnectionState {
    /// The server's error as the end of a sentence; empty if there was none.
    pub(crate) fn server_error_suffix(&self) -> String {
        self.server_error.as_ref().map_or_else(String::new, |error| format!("; the server reports: {error}"))
    }

    /// Whether the latest error says that this user may not publish to one of `subjects`, each in quotation marks, and came after
    /// the first `before` ones; or
    /// that it may not subscribe to its inboxes.
    pub(crate) fn denies(&self, before: u64, subjects: &[String], inbox_prefix: &str) -> bool {
        let Some(error) = self.server_error.as_deref() else { return false };
        let publish = error.contains("for Publish") && subjects.iter().any(|subject| error.contains(subject));
        let inbox = error.contains("for Subscription") && error.contains(&format!("\"{inbox_prefix}."));
        (publish && self.server_errors > before) || inbox
    }
}

/// Receives the events of a connection and updates its state.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionEvents(Arc<watch::Sender<ConnectionState>>);

impl ConnectionEvents {
    pub(super) fn new() -> (Self, watch::Receiver<ConnectionState>) {
        let (sender, receiver) = watch::channel(ConnectionState::default());
        (Self(Arc::new(sender)), receiver)
    }

    /// Whether there was a connection at any time.
    pub(super) fn was_connected(&self) -> bool {
        self.0.borrow().connects > 0
    }

    pub(super) fn handle(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::debug!("connected to the nats-server");
                self.0.send_modify(|state| {
                    state.connected = true;
                    state.connects += 1;
                    state.reconnect_error = None;
                });
            }
            Event::Disconnected => {
                tracing::warn!("lost the connection to the nats-server; reconnecting");
                self.0.send_modify(|state| state.connected = false);
            }
            Event::LameDuckMode => tracing::info!("the nats-server is about to shut down"),
            Event::Draining | Event::Closed => {
                tracing::debug!(%event, "the connection to the nats-server is closing");
                self.0.send_modify(|state| state.connected = false);
            }
            Event::SlowConsumer(subscription) => {
                // The server delivers the dropped messages again when their leases expire.
                tracing::warn!(
                    subscription,
                    "this host is too slow: the client library dropped messages from the nats-server"
                );
            }
            Event::ServerError(ServerError::Other(error)) => {
                tracing::warn!(error, "the nats-server reports an error");
                self.0.send_modify(|state| {
                    state.server_error = Some(error.clone());
                    state.server_errors += 1;
                });
            }
            Event::ServerError(error) => tracing::warn!(%error, "the nats-server reports an error"),
            Event::ClientError(error) => self.not_reconnected(error.to_string()),
        }
    }

    /// The client library tries again several times a second. A reason is logged once.
    fn not_reconnected(&self, error: String) {
        let is_new = self.was_connected() && self.0.borrow().reconnect_error.as_ref() != Some(&error);
        if !is_new {
            tracing::debug!(error, "cannot connect to the nats-server yet");
            return;
        }
        tracing::warn!(error, "cannot reconnect to the nats-server: trying again");
        self.0.send_modify(|state| state.reconnect_error = Some(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted() {
        let (events, state) = ConnectionEvents::new();
        assert!(!events.was_connected());
        events.handle(&Event::Connected);
        events.handle(&Event::Disconnected);
        assert_eq!((state.borrow().connected, state.borrow().connects), (false, 1));
        events.handle(&Event::Connected);
        assert_eq!((state.borrow().connected, state.borrow().connects), (true, 2));
    }

    #[test]
    fn m6_the_reason_of_a_failed_reconnect_is_kept() {
        let (events, state) = ConnectionEvents::new();
        let refused =
            Event::ClientError(async_nats::ClientError::Other("authorization violation".to_owned()));
        events.handle(&refused);
        assert_eq!(state.borrow().reconnect_error, None);
        events.handle(&Event::Connected);
        events.handle(&Event::Disconnected);
        events.handle(&refused);
        let reason = state.borrow().reconnect_error.clone().unwrap();
        assert!(reason.contains("authorization violation"), "{reason}");
        events.handle(&Event::Connected);
        assert_eq!(state.borrow().reconnect_error, None);
    }

    #[test]
    fn m6_a_missing_permission_is_known_by_its_subject() {
        let (events, state) = ConnectionEvents::new();
        let report = |text: &str| events.handle(&Event::ServerError(ServerError::Other(text.to_owned())));
        let denies = |before| state.borrow().denies(before, &["\"$JS.API.INFO\"".to_owned()], "_INBOX");
        report("Permissions Violation for Publish to \"$JS.API.INFO.x\"");
        assert!(!denies(0));
        report("Permissions Violation for Publish to \"$JS.API.INFO\"");
        assert!(denies(1) && !denies(2));
        report("Permissions Violation for Subscription to \"_INBOX.abc.*\"");
        assert!(denies(3));
    }

    #[test]
    fn a_server_error_is_kept_for_later_messages() {
        let (events, state) = ConnectionEvents::new();
        events.handle(&Event::ServerError(ServerError::Other("permissions violation".to_owned())));
        assert_eq!(state.borrow().server_error_suffix(), "; the server reports: permissions violation");
    }
}
