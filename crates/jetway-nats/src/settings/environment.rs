//! The settings that the environment gives. Most names are those of the `nats` command.

use super::{ConnectionSettings, SettingsError};
use crate::config::{Secret, ServerList};
use std::{ffi::OsString, path::PathBuf};

/// Reads the variables. An empty one counts as unset.
pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<ConnectionSettings, SettingsError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
    let secret = |name: &str| text(name).map(Secret::from);
    let file = |name: &str| set(name).map(PathBuf::from);
    Ok(ConnectionSettings {
        context: text("NATS_CONTEXT"),
        servers: text("NATS_URL").map(ServerList::from),
        user: secret("NATS_USER"),
        password: secret("NATS_PASSWORD"),
        token: secret("NATS_TOKEN"),
        nkey: secret("NATS_NKEY"),
        creds: secret("NATS_CREDS"),
        user_jwt: None,
        user_seed: None,
        certificate: file("NATS_CERT"),
        key: file("NATS_KEY"),
        ca: file("NATS_CA"),
        tls_first: text("NATS_TLS_FIRST").map(|value| boolean("NATS_TLS_FIRST", &value)).transpose()?,
        jetstream_domain: text("NATS_JS_DOMAIN"),
        jetstream_api_prefix: text("NATS_JS_API_PREFIX"),
        inbox_prefix: text("NATS_INBOX_PREFIX"),
    })
}

fn boolean(name: &'static str, value: &str) -> Result<bool, SettingsError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(SettingsError::NotABoolean { name }),
    }
}
