//! When tickets or alarms may have been lost.
//!
//! On a single server the streams of tickets and of alarms are not synced. After a crash they may lack the latest messages that the
//! server has acknowledged, and may have messages that were removed.

use crate::{
    names::SERVER,
    session::{Connection, ConnectionState, api, direct},
};
use jetway_state::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;

/// Detects restarts of the server.
pub(super) struct RestartWatch {
    connection: Arc<Connection>,
    state: watch::Receiver<ConnectionState>,
    server_id: String,
    /// When the connection was lost.
    lost_at: Option<Timestamp>,
}

impl RestartWatch {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        let (state, server_id) = (connection.state.clone(), connection.client.server_info().server_id);
        Self { connection, state, server_id, lost_at: None }
    }

    /// Waits for the next restart. Returns when the connection to the earlier server was lost. `None` if the connection has
    /// ended.
    pub(super) async fn next(&mut self) -> Option<Timestamp> {
        loop {
            self.state.changed().await.ok()?;
            let now = self.connection.server_time();
            if !self.state.borrow_and_update().connected {
                self.lost_at.get_or_insert(now);
                continue;
            }
            let lost_at = self.lost_at.take().unwrap_or(now);
            let server_id = self.connection.client.server_info().server_id;
            if server_id != self.server_id {
                self.server_id = server_id;
                return Some(lost_at);
            }
        }
    }
}

/// The ids of the server and of the connection to it. A host announces itself with them.
pub(super) fn server_id(connection: &Connection) -> String {
    let server = connection.client.server_info();
    format!("{} {}", server.server_id, server.client_id)
}

/// Since when tickets may have been lost before this host started. `None` if another host has announced itself on this
/// server since its start: that host has detected the restart. Otherwise the time of the last write to the runs.
pub(super) async fn loss_before_start(
    connection: &Connection,
    runs_stream: &str,
    hosts_stream: &str,
    hosts: &str,
) -> Option<Timestamp> {
    let (own_id, server) = (server_id(connection), connection.client.server_info().server_id);
    let is_other_host =
        |id: &str| id != own_id && id.strip_prefix(&server).is_some_and(|rest| rest.starts_with(' '));
    match direct::latest_of_each(connection, hosts_stream, hosts).await {
        Ok(page) => {
            let mut ids = page.messages.iter().filter_map(|host| host.headers.get(SERVER));
            if ids.any(|id| is_other_host(id.as_str())) {
                return None;
            }
        }
        Err(failure) => tracing::debug!(error = %failure, "cannot read which hosts are alive"),
    }
    match api::stream_info(connection, runs_stream).await {
        // A time before 1970 means that nothing was ever written.
        Ok(info) => Timestamp::parse(&info.state.last_ts),
        Err(failure) => {
            tracing::debug!(error = %failure, "cannot read when a run was last written");
            Some(connection.server_time())
        }
    }
}
