//! The arguments that many verbs share, and the connection that they describe.

use clap::Args;
use jetway::{Client, Namespace, NatsAuth, NatsConfig};
use std::path::{Path, PathBuf};

/// Which server, and what is shown: what every verb that talks to a server takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Address of the NATS server
    #[arg(long, value_name = "URL", env = "NATS_URL", default_value = "nats://127.0.0.1:4222")]
    pub(crate) nats: String,

    /// Credentials for the NATS server (a .creds file)
    #[arg(long, value_name = "FILE", env = "NATS_CREDS")]
    pub(crate) creds: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Keeps teams apart that share a server
    #[arg(long, value_name = "NAME", env = "JETWAY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: Namespace,

    /// Print one JSON document instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServerArgs {
    /// The settings of the connection.
    pub(crate) fn config(&self) -> NatsConfig {
        nats_config(&self.nats, self.creds.as_deref(), &self.common.namespace)
    }

    /// A client of the server; an error that names it where there is none.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect_with(self.config()).await?)
    }
}

/// The settings of a connection.
pub(crate) fn nats_config(url: &str, creds: Option<&Path>, namespace: &Namespace) -> NatsConfig {
    let config = NatsConfig::new(url).in_namespace(namespace.clone());
    match creds {
        Some(file) => config.with_auth(NatsAuth::CredentialsFile(file.to_owned())),
        None => config,
    }
}
