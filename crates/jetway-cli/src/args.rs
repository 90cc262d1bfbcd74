//! Arguments that several verbs share, and the connection settings that they give.

mod connection;

pub(crate) use connection::{CONNECTION_HELP, ConnectionArgs};

use clap::Args;
use jetway::{
    Client, Namespace, NatsConfig,
    nats::{EnvironmentError, SettingsError, replicas_from_env},
};

/// The arguments of every verb that connects to a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
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

/// How many servers of a cluster store each message.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReplicasArgs {
    /// Number of servers in a cluster that store each message: 1, 3 or 5 [env: JETWAY_REPLICAS] [default: as recorded on
    /// the server; in a new namespace 1]
    #[arg(long, value_name = "N", value_parser = parse_replicas)]
    replicas: Option<usize>,
}

impl ReplicasArgs {
    /// The number of the flag, or of the environment.
    ///
    /// # Errors
    /// That of the environment is invalid.
    pub(crate) fn number(&self) -> Result<Option<usize>, EnvironmentError> {
        self.replicas.map_or_else(replicas_from_env, |replicas| Ok(Some(replicas)))
    }
}

fn parse_replicas(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("the number is 1, 3 or 5".to_owned()),
    }
}

impl ServerArgs {
    /// The connection settings.
    ///
    /// # Errors
    /// A setting is invalid.
    pub(crate) fn config(&self) -> Result<NatsConfig, SettingsError> {
        Ok(self.connection.config()?.in_namespace(self.common.namespace.clone()))
    }

    /// The flags with which another command reaches the same runs, each after a space. Logins are not among them.
    pub(crate) fn flags(&self) -> String {
        let mut flags = self.connection.server_flags();
        if self.common.namespace != Namespace::default() {
            flags.push_str(&format!(" --namespace {}", self.common.namespace));
        }
        flags
    }

    /// Connects a client to the server.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect_with(self.config()?).await?)
    }
}
