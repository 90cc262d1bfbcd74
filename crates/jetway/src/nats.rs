//! The connection to the NATS server, and the stores on it.

pub use jetway_nats::{
    Grouping, NatsAuth, NatsCheckpointStore, NatsConfig, NatsContextStore, NatsErrorStore, NatsLivenessStore,
    NatsMetricsStore, NatsRunInfoStore, NatsStores, NatsTls, NatsWorkItemStateStore, NatsWorkQueue,
    Provisioning, ServerFacts, ServiceStatus, WriteConfig, start_subject,
};

use jetway_state::{BadName, Namespace};
use std::{env, ffi::OsString, path::PathBuf};

/// Reads the connection settings from the environment: `NATS_URL` (server addresses, separated by commas), `NATS_CREDS`
/// (a credentials file) and `JETWAY_NAMESPACE`. A variable that is unset or empty keeps its default.
///
/// # Errors
/// The namespace is invalid.
pub fn config_from_env() -> Result<NatsConfig, BadName> {
    config_from(|name| env::var_os(name))
}

fn config_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<NatsConfig, BadName> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
    let mut config = NatsConfig::default();
    if let Some(url) = text("NATS_URL") {
        config.urls = urls(&url);
    }
    if let Some(file) = set("NATS_CREDS") {
        config.auth = NatsAuth::CredentialsFile(PathBuf::from(file));
    }
    if let Some(namespace) = text("JETWAY_NAMESPACE") {
        config.namespace = Namespace::new(&namespace)?;
    }
    Ok(config)
}

/// Splits a list of addresses at the commas.
pub(crate) fn urls(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<NatsConfig, BadName> {
        let found =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        config_from(found)
    }

    #[test]
    fn the_environment_is_read() {
        let config = config(&[
            ("NATS_URL", "nats://a:4222, nats://b:4222,"),
            ("NATS_CREDS", "/run/secrets/nats.creds"),
            ("JETWAY_NAMESPACE", "team-a"),
        ])
        .unwrap();
        assert_eq!(config.urls, ["nats://a:4222", "nats://b:4222"]);
        assert_eq!(config.auth, NatsAuth::CredentialsFile("/run/secrets/nats.creds".into()));
        assert_eq!(config.namespace.as_str(), "team-a");
    }

    #[test]
    fn unset_variables_keep_their_defaults() {
        let config = config(&[("NATS_URL", ""), ("JETWAY_NAMESPACE", "")]).unwrap();
        assert_eq!(config.urls, ["nats://127.0.0.1:4222"]);
        assert_eq!(config.namespace.as_str(), "default");
    }

    #[test]
    fn a_bad_namespace_is_an_error() {
        assert!(config(&[("JETWAY_NAMESPACE", "a.b")]).is_err());
    }
}
