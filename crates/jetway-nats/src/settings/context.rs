//! Contexts of the `nats` command: files in `nats/context` below `$XDG_CONFIG_HOME`, or below `~/.config`.

use super::{ConnectionSettings, SettingsError};
use crate::config::{Secret, ServerList};
use serde::Deserialize;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The fields of a context that concern a connection, as the `nats` command writes them. Empty ones count as unset.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ContextFile {
    url: String,
    socks_proxy: String,
    token: String,
    user: String,
    password: String,
    creds: String,
    nkey: String,
    cert: String,
    key: String,
    ca: String,
    nsc: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    inbox_prefix: String,
    user_jwt: String,
    user_seed: String,
    tls_first: bool,
    windows_cert_store: String,
}

/// The directories of the contexts.
pub(super) struct ContextFiles {
    /// The home directory.
    home: Option<PathBuf>,
    /// The directory with `context` and `context.txt`.
    root: Option<PathBuf>,
}

impl ContextFiles {
    pub(super) fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let directory = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = directory("HOME");
        let config = directory("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        Self { home, root: config.map(|config| config.join("nats")) }
    }

    /// The selected context, with its name.
    pub(super) fn selected(&self) -> Result<Option<(String, ConnectionSettings)>, SettingsError> {
        let Some(path) = self.root.as_ref().map(|root| root.join("context.txt")) else { return Ok(None) };
        match fs::read_to_string(&path) {
            Ok(name) if name.trim().is_empty() => Ok(None),
            Ok(name) => Ok(Some((name.trim().to_owned(), self.read(name.trim())?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error.to_string())),
        }
    }

    /// A context by its name, or by the absolute path of its file.
    pub(super) fn read(&self, name: &str) -> Result<ConnectionSettings, SettingsError> {
        let path = self.path(name)?;
        let text = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                SettingsError::UnknownContext { name: name.to_owned(), path: path.display().to_string() }
            }
            _ => unreadable(&path, error.to_string()),
        })?;
        // The message of the parser may quote a value.
        let file: ContextFile = serde_json::from_slice(&text).map_err(|error| {
            unreadable(&path, format!("wrong JSON at line {}, column {}", error.line(), error.column()))
        })?;
        self.settings(name, &file)
    }

    fn path(&self, name: &str) -> Result<PathBuf, SettingsError> {
        // Neither is it the name of a context, nor may an error show it.
        if Secret::looks_like(name) && !Path::new(name).is_file() {
            return Err(SettingsError::InvalidContextName { name: Secret::from(name).to_string() });
        }
        if Path::new(name).is_absolute() {
            return Ok(PathBuf::from(name));
        }
        let invalid = || SettingsError::InvalidContextName { name: name.to_owned() };
        if name.is_empty() || name.contains("..") || name.contains(['/', '\\']) {
            return Err(invalid());
        }
        let root = self.root.as_ref().ok_or_else(invalid)?;
        Ok(root.join("context").join(format!("{name}.json")))
    }

    fn settings(&self, name: &str, file: &ContextFile) -> Result<ConnectionSettings, SettingsError> {
        let unsupported =
            |field, instead| Err(SettingsError::Unsupported { context: name.to_owned(), field, instead });
        if !file.socks_proxy.is_empty() {
            return unsupported("socks_proxy", "connect without a proxy");
        }
        if !file.nsc.is_empty() {
            return unsupported("nsc", "write a file with `nsc generate creds`, and name it in creds");
        }
        if !file.windows_cert_store.is_empty() {
            return unsupported("windows_cert_store", "name files in cert, key and ca");
        }
        let password = match file.user.is_empty() {
            true => secret(&file.password),
            // A user of a context is no token.
            false => Some(Secret::from(file.password.as_str())),
        };
        let path = |field, text: &str| self.file(name, field, text);
        Ok(ConnectionSettings {
            context: None,
            servers: text(&file.url).map(ServerList::from),
            user: secret(&file.user),
            password,
            token: secret(&file.token),
            nkey: path("nkey", &file.nkey)?.as_deref().map(hidden),
            creds: path("creds", &file.creds)?.as_deref().map(hidden),
            user_jwt: secret(&file.user_jwt),
            user_seed: secret(&file.user_seed),
            certificate: path("cert", &file.cert)?,
            key: path("key", &file.key)?,
            ca: path("ca", &file.ca)?,
            tls_first: file.tls_first.then_some(true),
            jetstream_domain: text(&file.jetstream_domain),
            jetstream_api_prefix: text(&file.jetstream_api_prefix),
            inbox_prefix: text(&file.inbox_prefix),
        })
    }

    /// A file that a context names: a path, `~/path` or `file://path`.
    fn file(&self, context: &str, field: &'static str, text: &str) -> Result<Option<PathBuf>, SettingsError> {
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() {
            return Ok(None);
        }
        if path.contains("://") || path.starts_with("data:") || path.contains('$') {
            let instead = "name a file, without variables";
            return Err(SettingsError::Unsupported { context: context.to_owned(), field, instead });
        }
        Ok(Some(match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }))
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

fn secret(value: &str) -> Option<Secret> {
    text(value).map(Secret::from)
}

/// The name of a file, in whose place there may be what it holds.
fn hidden(path: &Path) -> Secret {
    Secret::from(path.to_string_lossy())
}

fn unreadable(path: &Path, reason: String) -> SettingsError {
    SettingsError::BadContext { path: path.display().to_string(), reason }
}
