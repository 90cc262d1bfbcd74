//! Arguments that several verbs share, and the connection settings that they give.

use clap::Args;
use jetway::{Client, Namespace, NatsAuth, NatsConfig};
use std::path::{Path, PathBuf};

/// The arguments of every verb that connects to a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Address of the NATS server
    #[arg(long, value_name = "URL", env = "NATS_URL", default_value = "nats://127.0.0.1:4222")]
    pub(crate) nats: String,

    /// Credentials file for the NATS server
    #[arg(long, value_name = "FILE", env = "NATS_CREDS")]
    pub(crate) creds: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The arguments of every verb.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Namespace of the runs; separates teams that share a server
    #[arg(long, value_name = "NAME", env = "JETWAY_NAMESPACE", default_value = "default")]
    pub(crate) namespace: Namespace,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServerArgs {
    /// The connection settings.
    pub(crate) fn config(&self) -> NatsConfig {
        nats_config(&self.nats, self.creds.as_deref(), &self.common.namespace)
    }

    /// Connects a client to the server.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect_with(self.config()).await?)
    }
}

/// Connection settings.
pub(crate) fn nats_config(url: &str, creds: Option<&Path>, namespace: &Namespace) -> NatsConfig {
    let config = NatsConfig::new(url).in_namespace(namespace.clone());
    match creds {
        Some(file) => config.with_auth(NatsAuth::CredentialsFile(file.to_owned())),
        None => config,
    }
}
