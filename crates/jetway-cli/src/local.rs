//! A server and a host within this process, for `jetway demo` and `jetway dev`.

use crate::{
    args::{CommonArgs, nats_config},
    output,
    workflows::{chain::chain, corpus::corpus},
};
use anyhow::bail;
use clap::Args;
use jetway::{Client, Host, HostHandle, NatsConfig};
use jetway_server::{NatsServer, ServerError};
use std::{fmt, path::PathBuf, time::Duration};

/// How long steps may go on when the host stops. Nothing is lost by stopping sooner, but the data goes with the server.
const DRAIN: Duration = Duration::from_secs(5);

/// Where the server comes from, and how large the host is.
#[derive(Debug, Clone, Args)]
pub(crate) struct LocalArgs {
    /// Use this NATS server instead of starting one
    #[arg(long, value_name = "URL")]
    nats: Option<String>,

    /// Credentials for that server (a .creds file)
    #[arg(long, value_name = "FILE", requires = "nats")]
    creds: Option<PathBuf>,

    /// How many steps of each workflow run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
}

/// A host in this process, the server that it started (or was given), and a client.
#[derive(Debug)]
pub(crate) struct Local {
    client: Client,
    host: HostHandle,
    url: String,
    server: Option<NatsServer>,
}

impl Local {
    /// Starts a server where none is given, and a host. The server takes `port` where that is free.
    pub(crate) async fn start(
        args: &LocalArgs,
        common: &CommonArgs,
        port: Option<u16>,
    ) -> anyhow::Result<Self> {
        let server = match &args.nats {
            Some(_) => None,
            None => Some(start_server(port).await?),
        };
        let url = match (&server, &args.nats) {
            (Some(server), _) => server.url(),
            (None, Some(url)) => url.clone(),
            (None, None) => bail!("there is no server"),
        };
        let config = nats_config(&url, args.creds.as_deref(), &common.namespace);
        let host = start_host(config.clone(), args.concurrency).await?;
        let client = Client::connect_with(config).await?;
        Ok(Self { client, host, url, server })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client of the server.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until somebody stops this process or the host cannot go on, which is an error either way.
    pub(crate) async fn stopped_early(&self) -> anyhow::Error {
        tokio::select! {
            asked = jetway::shutdown_requested() => match asked {
                Ok(signal) => anyhow::anyhow!("stopped by {signal}"),
                Err(error) => error.into(),
            },
            fatal = self.host.fatal() => fatal.into(),
        }
    }

    /// Waits until somebody stops this process.
    pub(crate) async fn until_told_to_stop(&self) -> anyhow::Result<()> {
        tokio::select! {
            asked = jetway::shutdown_requested() => {
                output::say(&format!("{}: stopping", asked?));
                Ok(())
            }
            fatal = self.host.fatal() => Err(fatal.into()),
        }
    }

    /// Stops the host, then the server that was started.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { client, host, server, .. } = self;
        drop(client);
        host.drain().await;
        if let Some(mut server) = server {
            server.stop().await?;
        }
        Ok(())
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.host.facts();
        write!(f, "nats-server {} at {}", facts.server_version, self.url)?;
        if let Some(server) = &self.server {
            write!(f, ", data in {}", server.store_dir().display())?;
        }
        write!(f, "\nhost with the workflows {}; {}", facts.workflow_names(), facts.durability)
    }
}

async fn start_server(port: Option<u16>) -> anyhow::Result<NatsServer> {
    let builder = || NatsServer::builder().progress(output::say);
    let Some(port) = port else {
        return Ok(builder().start().await?);
    };
    match builder().port(port).start().await {
        Err(ServerError::Exited { log, .. }) if log.contains("address already in use") => {
            output::say(&format!("port {port} is taken: the server takes a free one"));
            Ok(builder().start().await?)
        }
        started => Ok(started?),
    }
}

async fn start_host(config: NatsConfig, concurrency: Option<usize>) -> anyhow::Result<HostHandle> {
    let mut builder =
        Host::builder().nats_config(config).workflow(chain()).workflow(corpus()).drain_within(DRAIN);
    if let Some(concurrency) = concurrency {
        builder = builder.concurrency(concurrency);
    }
    Ok(builder.build().await?.start().await?)
}
