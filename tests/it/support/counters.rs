//! The server's own counters.

use anyhow::{Context, Result};
use jetway_testing::NatsServer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How many messages the server has taken in and sent out, by its monitoring port.
pub(crate) async fn messages(monitoring: &str) -> Result<u64> {
    let mut stream = TcpStream::connect(monitoring).await?;
    stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").context("the server answers")?.1;
    let varz: Value = serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?;
    let count = |name: &str| varz[name].as_u64().with_context(|| format!("{name} is not in {varz}"));
    Ok(count("in_msgs")? + count("out_msgs")?)
}

/// Where the monitoring port of a server that was started with `http: "127.0.0.1:-1"` is, by its ports file.
pub(crate) fn monitoring(server: &NatsServer) -> Result<String> {
    let log = server.log_tail(200);
    let line =
        log.lines().find(|line| line.contains("Starting http monitor on")).context("no monitoring port")?;
    Ok(line.rsplit(' ').next().context("no address")?.to_owned())
}
