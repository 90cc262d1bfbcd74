//! The host as a process of its own.

use crate::mixed::Mixed;
use anyhow::{Context, Result};
use clap::Args;
use jetway::{Host, nats::NatsConfig};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

/// What the process is told.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    #[arg(long)]
    pub(crate) nats: String,
    #[arg(long)]
    pub(crate) namespace: String,
    #[arg(long)]
    pub(crate) keep: u64,
}

/// A host that is at work. Killed when it is dropped.
pub(crate) struct HostProcess(Child);

impl HostProcess {
    /// Starts this program again, as a host.
    pub(crate) fn start(HostArgs { nats, namespace, keep }: &HostArgs) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["host", "--nats", nats, "--namespace", namespace, "--keep", &keep.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the host does not start")?;
        Ok(Self(child))
    }

    /// `None` once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.0.id()
    }
}

/// Serves until the process that started this one is gone, however it went.
pub(crate) async fn serve(HostArgs { nats, namespace, keep }: HostArgs) -> Result<()> {
    let _telemetry = jetway::telemetry::init("jetway-soak")?;
    let mut config = NatsConfig::new(nats).in_namespace(namespace.parse()?);
    config.keep_finished = Duration::from_secs(keep);
    config.keep_results = Duration::from_secs(keep);
    let host = Host::builder().nats_config(config).workflow(Mixed::new()).build().await?;
    let mut stdin = tokio::io::stdin();
    tokio::select! {
        served = host.run() => Ok(served?),
        closed = stdin.read_u8() => {
            drop(closed);
            Ok(())
        }
    }
}
