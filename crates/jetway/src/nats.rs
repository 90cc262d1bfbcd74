//! The connection to the NATS server, and the stores on it.

pub use jetway_nats::{
    BadServerList, ChangedStream, ConnectProblem, ConnectionSettings, DEFAULT_ACCOUNT, Grouping,
    NamespaceReport, NatsAuth, NatsCheckpointStore, NatsConfig, NatsContextStore, NatsErrorStore,
    NatsLivenessStore, NatsMetricsStore, NatsRunInfoStore, NatsStores, NatsTls, NatsWorkItemStateStore,
    NatsWorkQueue, OldestStart, PausedConsumer, PermissionError, PermissionSettings, Permissions,
    Provisioning, QueueReport, Role, Secret, ServerAddress, ServerFacts, ServerList, ServerUser,
    ServiceStatus, SettingsError, UserLogin, WriteConfig, start_subject,
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
    /// The number of replicas is invalid.
    #[error("JETWAY_REPLICAS is {0:?}, and not 1, 3 or 5")]
    Replicas(String),
}

/// Reads the configuration from the environment: the variables of [`ConnectionSettings::from_env`], of which `NATS_URL`
/// names the servers and `NATS_CONTEXT` a context of the `nats` command, `JETWAY_NAMESPACE`, and `JETWAY_REPLICAS` (see
/// [`NatsConfig::replicas`]). A variable that is unset or empty keeps its default. The context that `nats context select` has selected is not used.
///
/// # Errors
/// The namespace or a setting of the connection is invalid.
pub fn config_from_env() -> Result<NatsConfig, EnvironmentError> {
    let config = ConnectionSettings::default().config_without_selected_context()?;
    let replicas = replicas_from_env()?;
    Ok(NatsConfig { replicas, ..with_namespace(config, env::var_os("JETWAY_NAMESPACE"))? })
}

/// Reads `JETWAY_REPLICAS`, see [`NatsConfig::replicas`]. `None` if it is unset or empty.
///
/// # Errors
/// It is not 1, 3 or 5.
pub fn replicas_from_env() -> Result<Option<usize>, EnvironmentError> {
    env::var_os("JETWAY_REPLICAS").map_or(Ok(None), |text| parse_replicas(&text.to_string_lossy()))
}

fn parse_replicas(text: &str) -> Result<Option<usize>, EnvironmentError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| [1, 3, 5].contains(number));
    number.map(Some).ok_or_else(|| EnvironmentError::Replicas(text.to_owned()))
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
    fn f8_the_number_of_replicas_is_read() {
        assert_eq!(parse_replicas("3").unwrap(), Some(3));
        assert_eq!(parse_replicas("").unwrap(), None);
        for wrong in ["0", "2", "three"] {
            assert!(parse_replicas(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_namespace_is_read() {
        assert_eq!(namespace("team-a").unwrap(), "team-a");
        assert_eq!(namespace("").unwrap(), "default");
        assert!(namespace("a.b").is_err());
    }
}
