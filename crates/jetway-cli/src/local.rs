//! A server and a host in this process, for `jetway demo` and `jetway dev`.

use crate::{
    args::{CommonArgs, ConnectionArgs},
    output,
    workflows::{
        chain::chain,
        corpus::{CorpusRoot, corpus},
    },
};
use anyhow::bail;
use clap::Args;
use jetway::{Client, Host, HostHandle, NatsConfig};
use jetway_server::{NatsServer, ServerError};
use std::{fmt, time::Duration};

/// How long running steps may take to finish when the host stops. The server and its data end with this process.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The size of the host, and the server to use instead of starting one.
#[derive(Debug, Clone, Args)]
pub(crate) struct LocalArgs {
    /// Maximum number of concurrent steps per workflow [default: 256]
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A host in this process, a client, and the server if this process started it.
#[derive(Debug)]
pub(crate) struct Local {
    client: Client,
    host: HostHandle,
    url: String,
    server: Option<NatsServer>,
}

impl Local {
    /// Starts a server unless one is given, and a host. The server listens on `port` if that is free. The host serves the
    /// workflow `corpus` for files below `root`.
    pub(crate) async fn start(
        args: &LocalArgs,
        common: &CommonArgs,
        port: Option<u16>,
        root: Option<CorpusRoot>,
    ) -> anyhow::Result<Self> {
        let connection = &args.connection;
        let (config, server) = match (connection.names_a_server(), connection.is_empty()) {
            (true, _) => (connection.config()?, None),
            (false, true) => {
                let server = start_server(port).await?;
                (NatsConfig::new(server.url()), Some(server))
            }
            (false, false) => bail!("connection settings without a server: name it with --nats or --context"),
        };
        let config = config.in_namespace(common.namespace.clone());
        let url = config.servers.to_string();
        let host = start_host(config.clone(), args.concurrency, root).await?;
        let client = Client::connect_with(config).await?;
        Ok(Self { client, host, url, server })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The names of the workflows that the host serves.
    pub(crate) fn workflows(&self) -> Vec<String> {
        self.host.facts().workflows.iter().map(ToString::to_string).collect()
    }

    /// A client of the server.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Resolves with an error when a signal stops this process or the host fails.
    pub(crate) async fn interrupted(&self) -> anyhow::Error {
        tokio::select! {
            signal = jetway::shutdown_requested() => match signal {
                Ok(signal) => anyhow::anyhow!("interrupted by {signal}"),
                Err(error) => error.into(),
            },
            fatal = self.host.fatal() => fatal.into(),
        }
    }

    /// Waits for a signal that stops this process.
    ///
    /// # Errors
    /// The host fails first.
    pub(crate) async fn until_stopped(&self) -> anyhow::Result<()> {
        tokio::select! {
            signal = jetway::shutdown_requested() => {
                output::note(&format!("received {}, stopping", signal?));
                Ok(())
            }
            fatal = self.host.fatal() => Err(fatal.into()),
        }
    }

    /// Stops the host, then the server if this process started it.
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
        write!(f, "\nhost serves the workflows {}; durability: {}", facts.workflow_names(), facts.durability)
    }
}

async fn start_server(port: Option<u16>) -> anyhow::Result<NatsServer> {
    let builder = || NatsServer::builder().progress(output::note);
    let Some(port) = port else {
        return Ok(builder().start().await?);
    };
    match builder().port(port).start().await {
        Err(ServerError::Exited { log, .. }) if log.contains("address already in use") => {
            output::note(&format!("port {port} is in use: the server listens on a free port instead"));
            Ok(builder().start().await?)
        }
        started => Ok(started?),
    }
}

async fn start_host(
    config: NatsConfig,
    concurrency: Option<usize>,
    root: Option<CorpusRoot>,
) -> anyhow::Result<HostHandle> {
    let mut builder = Host::builder().nats_config(config).workflow(chain()).drain_within(DRAIN_LIMIT);
    if let Some(root) = root {
        builder = builder.workflow(corpus(root));
    }
    if let Some(concurrency) = concurrency {
        builder = builder.concurrency(concurrency);
    }
    Ok(builder.build().await?.start().await?)
}
