//! A server and a host in this process, for `jetway demo` and `jetway dev`.

use crate::{
    args::{CommonArgs, ConnectionArgs, parse_concurrency},
    output,
    workflows::{
        chain::chain,
        corpus::{CorpusRoot, corpus},
        nap::nap,
        order::order,
    },
};
use anyhow::{Context, bail};
use clap::Args;
use jetway::{Client, Host, HostHandle, NatsConfig};
use jetway_server::{NatsServer, ServerError};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long running steps may take to finish when the host stops. The server and its data end with this process.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The size of the host, and the server to use instead of starting one.
#[derive(Debug, Clone, Args)]
pub(crate) struct LocalArgs {
    /// Maximum number of concurrent steps per workflow [default: 256]
    #[arg(long, value_name = "N", value_parser = parse_concurrency)]
    concurrency: Option<usize>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How the server is started.
#[derive(Debug, Default)]
pub(crate) struct ServerPlan {
    /// The port, if it is free.
    pub(crate) port: Option<u16>,
    /// Where the data stays. `None`: it is deleted with the server.
    pub(crate) data: Option<DataDir>,
}

/// A directory with the data of a server. No other `jetway dev` uses it meanwhile.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, and creates it if it does not exist.
    ///
    /// # Errors
    /// It cannot be created, or another process uses it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot keep data in {}", path.display());
        fs::create_dir_all(path).with_context(cannot)?;
        let lock = File::create(path.join("jetway-dev.lock")).with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "cannot keep data in {}: another `jetway dev` uses it; stop that one, or name another directory",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }
}

/// A host in this process, a client, and the server if this process started it.
#[derive(Debug)]
pub(crate) struct Local {
    client: Client,
    host: HostHandle,
    url: String,
    server: Option<NatsServer>,
    /// Locked until the server has stopped.
    data: Option<DataDir>,
}

impl LocalArgs {
    /// The server to use.
    pub(crate) fn connection(&self) -> &ConnectionArgs {
        &self.connection
    }
}

impl Local {
    /// Starts a server unless one is given, and a host. The server is started by the plan. The host serves the
    /// workflow `corpus` for files below `root`.
    pub(crate) async fn start(
        args: &LocalArgs,
        common: &CommonArgs,
        plan: ServerPlan,
        root: Option<CorpusRoot>,
    ) -> anyhow::Result<Self> {
        let connection = &args.connection;
        let (config, server) = match (connection.names_a_server(), connection.is_empty()) {
            (true, _) => (connection.config()?, None),
            (false, true) => {
                let server = start_server(&plan).await?;
                (NatsConfig::new(server.url()), Some(server))
            }
            (false, false) => bail!("connection settings without a server: name it with --nats or --context"),
        };
        let config = config.in_namespace(common.namespace.clone());
        let url = config.servers.to_string();
        let host = start_host(config.clone(), args.concurrency, root).await?;
        let client = Client::connect_with(config).await?;
        Ok(Self { client, host, url, server, data: plan.data })
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
        let Self { client, host, server, data, .. } = self;
        drop(client);
        host.drain().await;
        if let Some(mut server) = server {
            server.stop().await?;
        }
        drop(data);
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

async fn start_server(plan: &ServerPlan) -> anyhow::Result<NatsServer> {
    let builder = || {
        let builder = NatsServer::builder().progress(output::note);
        match &plan.data {
            Some(data) => builder.store_dir(&data.path),
            None => builder,
        }
    };
    let Some(port) = plan.port else {
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
    let builder = Host::builder().nats_config(config).workflow(chain()).workflow(nap()).workflow(order());
    let mut builder = builder.drain_within(DRAIN_LIMIT);
    if let Some(root) = root {
        builder = builder.workflow(corpus(root));
    }
    if let Some(concurrency) = concurrency {
        builder = builder.concurrency(concurrency);
    }
    Ok(builder.build().await?.start().await?)
}
