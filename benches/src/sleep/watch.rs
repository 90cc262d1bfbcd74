//! What host and server need: memory, and messages.

use anyhow::{Context, Result};
use jetway_server::NatsServer;
use jetway_testing::resident_bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The memory of both at one time, in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Memory {
    /// This process: a host, and the client that starts the runs.
    pub(crate) host: u64,
    pub(crate) server: u64,
}

/// Reads memory and counters of this process and of a server of its own.
pub(crate) struct Watch {
    server: u32,
    monitoring: String,
}

impl Watch {
    pub(crate) fn new(server: &NatsServer) -> Result<Self> {
        let log = server.log_tail(200);
        let line = log.lines().find(|line| line.contains("Starting http monitor on"));
        let monitoring = line.and_then(|line| line.rsplit(' ').next()).context("no monitoring port")?;
        Ok(Self { server: server.pid().context("the server runs")?, monitoring: monitoring.to_owned() })
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let of = |pid| resident_bytes(pid).context("the process runs");
        Ok(Memory { host: of(std::process::id())?, server: of(self.server)? })
    }

    /// The messages that the server has received and sent, acknowledgements of JetStream among them.
    pub(crate) async fn messages(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.monitoring).await?;
        stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").context("the server does not answer")?.1;
        let varz: Value = serde_json::from_str(body).context("the server's counters are no JSON")?;
        let count = |name: &str| varz[name].as_u64().with_context(|| format!("there is no counter {name}"));
        Ok(count("in_msgs")? + count("out_msgs")?)
    }
}
