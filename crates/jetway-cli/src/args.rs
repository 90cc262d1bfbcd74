//! Arguments that several verbs share, and the connection settings that they give.

mod connection;

pub(crate) use connection::{CONNECTION_HELP, ConnectionArgs};

use clap::Args;
use jetway::{
    Client, Namespace, NatsConfig,
    nats::{EnvironmentError, SettingsError, replicas_from_env},
};
use std::env;

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
    #[arg(long, value_name = "NAME", env = NAMESPACE, default_value = "default", value_parser = parse_namespace)]
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

/// The variable of the namespace.
const NAMESPACE: &str = "JETWAY_NAMESPACE";
/// The largest number of concurrent steps.
const MOST_STEPS: usize = 1_000_000;

/// The name of a namespace. The parser of arguments passes an empty variable on, which counts as unset.
fn parse_namespace(text: &str) -> Result<Namespace, String> {
    let variable = env::var_os(NAMESPACE);
    let is_variable = variable.is_some_and(|variable| variable == text);
    match is_variable && text.is_empty() {
        true => Ok(Namespace::default()),
        false => Namespace::new(text).map_err(|error| match is_variable {
            true => format!("{error}; it comes from {NAMESPACE}"),
            false => error.to_string(),
        }),
    }
}

/// A number of concurrent steps.
pub(crate) fn parse_concurrency(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST_STEPS).contains(number));
    number.ok_or_else(|| format!("the number is from 1 to {MOST_STEPS}"))
}

impl CommonArgs {
    /// The flag with which another command uses the same namespace, after a space. Empty if it does so without a flag.
    pub(crate) fn namespace_flag(&self) -> String {
        let without_flag = env::var(NAMESPACE).ok().filter(|name| !name.is_empty());
        match without_flag.as_deref().unwrap_or(Namespace::default().as_str()) == self.namespace.as_str() {
            true => String::new(),
            false => format!(" --namespace {}", self.namespace),
        }
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
        self.connection.server_flags() + &self.common.namespace_flag()
    }

    /// Connects a client to the server.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect_with(self.config()?).await?)
    }
}
