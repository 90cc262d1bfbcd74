//! A host of the workflows of `resources`, as a process: `resource-host NATS_URL NAMESPACE`. Serves until it is killed,
//! or until its standard input is closed, as it is when whoever started it is gone.

use anyhow::{Context, Result};
use jetway::{Host, NatsConfig, host::EngineConfig};
use jetway_tests::resources::{grow, hungry, work};
use std::{env, time::Duration};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<()> {
    let _telemetry = jetway::telemetry::init("resource-host")?;
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().context("usage: resource-host NATS_URL NAMESPACE");
    let mut config = NatsConfig::new(argument()?).in_namespace(argument()?.parse()?);
    config.ack_wait = Duration::from_secs(2);
    let engine = EngineConfig { max_attempts: 3, ..EngineConfig::default() };
    let host = Host::builder()
        .nats_config(config)
        .engine_config(engine)
        .workflow(work())
        .workflow(grow())
        .workflow(hungry())
        .build()
        .await?;
    let mut stdin = tokio::io::stdin();
    tokio::select! {
        served = host.run() => Ok(served?),
        closed = stdin.read_u8() => {
            drop(closed);
            Ok(())
        }
    }
}
