//! When tickets may have been lost.
//!
//! Their stream is not synced where there is one server: after a crash it may lack the youngest of the tickets that the server has
//! acknowledged, and have such as were settled.

use crate::{
    direct, jsapi,
    link::{Link, LinkState},
    names::SERVER,
};
use jetway_state::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;

/// Sees restarts of the server.
pub(crate) struct Watch {
    link: Arc<Link>,
    connections: watch::Receiver<LinkState>,
    server: String,
    /// When the connection was lost.
    lost: Option<Timestamp>,
}

impl Watch {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let (connections, server) = (link.state.clone(), link.client.server_info().server_id);
        Self { link, connections, server, lost: None }
    }

    /// The next one: when the connection to the server before it was lost. `None` where the connection has ended for good.
    pub(crate) async fn next(&mut self) -> Option<Timestamp> {
        loop {
            self.connections.changed().await.ok()?;
            let now = jetway_core::clock::now();
            if !self.connections.borrow_and_update().connected {
                self.lost.get_or_insert(now);
                continue;
            }
            let lost = self.lost.take().unwrap_or(now);
            let server = self.link.client.server_info().server_id;
            if server != self.server {
                self.server = server;
                return Some(lost);
            }
        }
    }
}

/// Which server a host is connected to, and over which of its connections: what a host's announcement says beside itself.
pub(crate) fn whereabouts(link: &Link) -> String {
    let server = link.client.server_info();
    format!("{} {}", server.server_id, server.client_id)
}

/// Since when tickets may have been lost that no host has looked for: where no other host has announced itself on this server
/// since it was started, nobody has seen that it was. The last write to the runs is the last moment that anything is known of.
pub(crate) async fn unseen(link: &Link, runs: &str, alive: &str, hosts: &str) -> Option<Timestamp> {
    let now = jetway_core::clock::now();
    let (here, server) = (whereabouts(link), link.client.server_info().server_id);
    let saw_it =
        |place: &str| place != here && place.strip_prefix(&server).is_some_and(|rest| rest.starts_with(' '));
    match direct::latest_of_each(link, alive, hosts).await {
        Ok(others) => {
            let mut places = others.messages.iter().filter_map(|host| host.headers.get(SERVER));
            if places.any(|place| saw_it(place.as_str())) {
                return None;
            }
        }
        Err(failure) => tracing::debug!(%failure, "it is not known which hosts are alive"),
    }
    match jsapi::stream_info(link, runs).await {
        // Before 1970 stands for never.
        Ok(info) => Timestamp::parse(&info.state.last_ts).map(|last| last.min(now)),
        Err(failure) => {
            tracing::debug!(%failure, "it is not known when a run was written last");
            Some(now)
        }
    }
}
