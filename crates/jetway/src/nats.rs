//! The connection to the NATS server, and the stores on it.

pub use jetway_nats::{
    BadServerList, ConnectProblem, ConnectionSettings, Grouping, NatsAuth, NatsCheckpointStore, NatsConfig,
    NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore, NatsRunInfoStore, NatsStores,
    NatsTls, NatsWorkItemStateStore, NatsWorkQueue, Provisioning, Secret, ServerAddress, ServerFacts,
    ServerList, ServiceStatus, SettingsError, WriteConfig, start_subject,
};

use jetway_state::{BadName, Namespace};
use std::{env, ffi::OsString};

/// Why the environment gives no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The namespace is invalid.
    #[error(transparent)]
    Namespace(#[from] BadName),
    /// A setting of the connection is invalid.
    #[error(transparent)]
    Connection(#[from] SettingsError),
}

/// Reads the configuration from the environment: the variables of [`ConnectionSettings::from_env`], of which `NATS_URL`
/// names the servers and `NATS_CONTEXT` a context of the `nats` command, and `JETWAY_NAMESPACE`. A variable that is unset
/// or empty keeps its default. The context that `nats context select` has selected is not used.
///
/// # Errors
/// The namespace or a setting of the connection is invalid.
pub fn config_from_env() -> Result<NatsConfig, EnvironmentError> {
    let config = ConnectionSettings::default().config_without_selected_context()?;
    with_namespace(config, env::var_os("JETWAY_NAMESPACE"))
}

fn with_namespace(
    mut config: NatsConfig,
    namespace: Option<OsString>,
) -> Result<NatsConfig, EnvironmentError> {
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        config.namespace = Namespace::new(&namespace.to_string_lossy())?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(value: &str) -> Result<String, EnvironmentError> {
        let config = with_namespace(NatsConfig::default(), Some(value.into()))?;
        Ok(config.namespace.as_str().to_owned())
    }

    #[test]
    fn the_namespace_is_read() {
        assert_eq!(namespace("team-a").unwrap(), "team-a");
        assert_eq!(namespace("").unwrap(), "default");
        assert!(namespace("a.b").is_err());
    }
}
