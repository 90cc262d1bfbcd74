//! Connections that are made again when they have ended: one over which everything arrives that clients can send, and one over
//! which stored messages are read.
//!
//! The client library gives up a connection for good over some headers, such as one with a lone carriage return. Then only this
//! connection is lost, and it is made again: writes, tickets and leases have another one.

use super::{Connection, connect};
use crate::config::NatsConfig;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jetway_engine::backend::BackendError;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

type Connecting = Shared<BoxFuture<'static, Result<Arc<Connection>, BackendError>>>;

/// Makes the connection when it is needed for the first time, and again after it has ended.
pub(crate) struct RenewedConnection {
    config: NatsConfig,
    latest: Mutex<Option<Connecting>>,
}

impl RenewedConnection {
    /// `what` it is for becomes a part of its name.
    pub(crate) fn new(config: &NatsConfig, what: &str) -> Self {
        let name = format!("{} ({what})", config.name);
        Self { config: NatsConfig { name, ..config.clone() }, latest: Mutex::new(None) }
    }

    /// The connection.
    ///
    /// # Errors
    /// Those of [`connect`](super::connect()).
    pub(crate) async fn get(&self) -> Result<Arc<Connection>, BackendError> {
        self.connecting().await
    }

    /// The latest connection, if there was one.
    pub(crate) fn latest(&self) -> Option<Arc<Connection>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref()?.peek()?.as_ref().ok().cloned()
    }

    fn connecting(&self) -> Connecting {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_usable = |connecting: &&Connecting| match connecting.peek() {
            None => true,
            Some(Ok(connection)) => !connection.is_closed(),
            Some(Err(_)) => false,
        };
        if let Some(connecting) = latest.as_ref().filter(is_usable) {
            return connecting.clone();
        }
        let config = self.config.clone();
        let made = async move { connect(&config).await.map(|(connection, _facts)| connection) };
        let connecting = made.boxed().shared();
        *latest = Some(connecting.clone());
        connecting
    }
}

impl fmt::Debug for RenewedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedConnection").field("name", &self.config.name).finish_non_exhaustive()
    }
}
