//! A cluster of servers on this machine.

use jetway_server::{NATS_CONF, NatsServer, ServerError};
use std::{collections::BTreeSet, io, net::TcpListener};

/// Servers that form a cluster, each with JetStream. They end when this is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), jetway_testing::ServerError> {
/// use jetway_testing::NatsCluster;
///
/// let mut cluster = NatsCluster::start(3).await?;
/// println!("connect to {}", cluster.urls());
/// cluster.server(0).kill().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts so many servers. They elect a leader soon after; until then JetStream does not answer.
    ///
    /// # Errors
    ///
    /// When there is no server, or one does not start.
    pub async fn start(count: usize) -> Result<Self, ServerError> {
        let ports = free_ports(count).map_err(|source| ServerError::Io {
            what: "cannot find free ports for the routes of a cluster".to_owned(),
            source,
        })?;
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let routes = routes.join(", ");
        let starting = ports.iter().enumerate().map(|(index, port)| {
            let cluster = format!(
                "server_name: server-{index}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [ {routes} ] }}"
            );
            NatsServer::builder().config(NATS_CONF).extra_config(&cluster).start()
        });
        let mut servers = Vec::with_capacity(count);
        for server in starting {
            servers.push(server.await?);
        }
        Ok(Self { servers })
    }

    /// The addresses of all servers, separated by commas.
    pub fn urls(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// One of the servers, counted from 0.
    ///
    /// # Panics
    ///
    /// When there are fewer servers.
    pub fn server(&mut self, index: usize) -> &mut NatsServer {
        &mut self.servers[index]
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> io::Result<BTreeSet<u16>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
