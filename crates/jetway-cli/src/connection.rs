//! The way from the command line to a server.

use crate::cli::ServerArgs;
use jetway::{Client, Namespace, NatsAuth, NatsConfig};
use std::path::Path;

/// The settings of a connection.
pub(crate) fn config(url: &str, creds: Option<&Path>, namespace: &Namespace) -> NatsConfig {
    let config = NatsConfig::new(url).in_namespace(namespace.clone());
    match creds {
        Some(file) => config.with_auth(NatsAuth::CredentialsFile(file.to_owned())),
        None => config,
    }
}

impl ServerArgs {
    /// The settings of the connection.
    pub(crate) fn config(&self) -> NatsConfig {
        config(&self.nats, self.creds.as_deref(), &self.common.namespace)
    }

    /// A client of the server; an error that names it where there is none.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect_with(self.config()).await?)
    }
}
