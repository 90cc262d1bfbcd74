//! The connection to the NATS server, and the stores on it.

pub use jetway_nats::{
    BadServerList, ChangedStream, ConnectProblem, ConnectionSettings, Grouping, NamespaceReport, NatsAuth,
    NatsCheckpointStore, NatsConfig, NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore,
    NatsRunInfoStore, NatsStores, NatsTls, NatsWorkItemStateStore, NatsWorkQueue, Provisioning, Secret,
    ServerAddress, ServerFacts, ServerList, ServiceStatus, SettingsError, WriteConfig, start_subject,
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
    let config = with_namespace(config, env::var_os("JETWAY_NAMESPACE"))?;
    with_replicas(config, env::var_os("JETWAY_REPLICAS"))
}

fn with_replicas(mut config: NatsConfig, replicas: Option<OsString>) -> Result<NatsConfig, EnvironmentError> {
    if let Some(replicas) = replicas.filter(|replicas| !replicas.is_empty()) {
        let text = replicas.to_string_lossy();
        let number = text.parse().ok().filter(|number| [1, 3, 5].contains(number));
        config.replicas = Some(number.ok_or_else(|| EnvironmentError::Replicas(text.into_owned()))?);
    }
    Ok(config)
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
        let replicas = |text: &str| with_replicas(NatsConfig::default(), Some(text.into()));
        assert_eq!(replicas("3").unwrap().replicas, Some(3));
        assert_eq!(replicas("").unwrap().replicas, None);
        for wrong in ["0", "2", "three"] {
            assert!(replicas(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_namespace_is_read() {
        assert_eq!(namespace("team-a").unwrap(), "team-a");
        assert_eq!(namespace("").unwrap(), "default");
        assert!(namespace("a.b").is_err());
    }
}
