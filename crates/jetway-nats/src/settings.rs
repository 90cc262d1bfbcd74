//! Where the settings of a connection come from: flags, the environment, and contexts of the `nats` command.
//!
//! Each place gives [`ConnectionSettings`], and [`ConnectionSettings::config`] joins them. A setting is taken from the first
//! place that has it: flags, then the environment, then the context. All parts of a login come from one place, so that a
//! password is never combined with the user of another place.

mod context;
mod debug;
mod environment;
mod login_value;

use crate::config::{BadServerList, NatsAuth, NatsConfig, Secret, ServerList, may_be_file};
use context::ContextFiles;
use std::{env, ffi::OsString, path::PathBuf};

/// Settings of a connection that one place gives: the flags of a command, the environment, or a context.
///
/// ```
/// use jetway_nats::{ConnectionSettings, NatsAuth, ServerList};
///
/// let flags = ConnectionSettings {
///     servers: Some(ServerList::from("nats://a:4222, nats://b:4222")),
///     user: Some("ann".into()),
///     password: Some("hunter2".into()),
///     ..ConnectionSettings::default()
/// };
/// // With what the environment and the contexts of the `nats` command say.
/// let config = flags.config()?;
/// assert_eq!(config.auth, NatsAuth::password("ann", "hunter2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// The name of a context of the `nats` command, or the absolute path of its file.
    pub context: Option<String>,
    /// The addresses of servers.
    pub servers: Option<ServerList>,
    /// The user. Without a password, it is a token.
    pub user: Option<Secret>,
    /// The password.
    pub password: Option<Secret>,
    /// A token.
    pub token: Option<Secret>,
    /// The seed of an nkey, or the file that holds it.
    pub nkey: Option<Secret>,
    /// A `.creds` file, or its text.
    pub creds: Option<Secret>,
    /// A user JWT.
    pub user_jwt: Option<Secret>,
    /// The seed for the user JWT. A bearer token needs none.
    pub user_seed: Option<Secret>,
    /// The file with the certificate of this client.
    pub certificate: Option<PathBuf>,
    /// The file with the key of that certificate.
    pub key: Option<PathBuf>,
    /// A file with CA certificates.
    pub ca: Option<PathBuf>,
    /// Whether the connection starts with TLS.
    pub tls_first: Option<bool>,
    /// The domain of JetStream.
    pub jetstream_domain: Option<String>,
    /// The prefix of the JetStream API.
    pub jetstream_api_prefix: Option<String>,
    /// The prefix of reply subjects.
    pub inbox_prefix: Option<String>,
}

/// Why there are no settings for a connection. It shows no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The list of servers is invalid.
    #[error("{place}: {source}")]
    Servers {
        /// Where it comes from.
        place: String,
        /// What is wrong.
        source: BadServerList,
    },
    /// There are several logins in one place.
    #[error("{place}: {} are several logins: use one of them", .found.join(" and "))]
    SeveralLogins {
        /// Where they come from.
        place: String,
        /// Their names.
        found: Vec<&'static str>,
    },
    /// A setting lacks another one.
    #[error("{place}: {has} is given without {lacks}")]
    Incomplete {
        /// Where it comes from.
        place: String,
        /// The setting.
        has: &'static str,
        /// What it lacks.
        lacks: &'static str,
    },
    /// A value that should be a file, or what the file holds, is neither. It is not shown, since it may be a secret.
    #[error(
        "{place}: the value of {setting} is neither a file nor {content}; it is not shown, since it may be a secret"
    )]
    NeitherFileNorContent {
        /// Where it comes from.
        place: String,
        /// The setting.
        setting: &'static str,
        /// What the file would hold.
        content: &'static str,
    },
    /// A value of the environment is neither true nor false.
    #[error("{name} is neither true nor false")]
    NotABoolean {
        /// The name of the variable.
        name: &'static str,
    },
    /// There is no such context.
    #[error(
        "there is no context {name:?} of the `nats` command: {path} does not exist; `nats context ls` lists them"
    )]
    UnknownContext {
        /// Its name.
        name: String,
        /// The file that should hold it.
        path: String,
    },
    /// The name of the context is invalid.
    #[error("invalid name of a context {name:?}")]
    InvalidContextName {
        /// The name.
        name: String,
    },
    /// The file of the context cannot be used.
    #[error("cannot read the context file {path}: {reason}")]
    BadContext {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The context has a setting that Jetway does not support.
    #[error("context {context}: {field} is not supported: {instead}")]
    Unsupported {
        /// The context.
        context: String,
        /// The field.
        field: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

impl ConnectionSettings {
    /// The settings that the environment gives: `NATS_URL`, `NATS_CONTEXT`, `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`,
    /// `NATS_NKEY`, `NATS_CREDS`, `NATS_CERT`, `NATS_KEY` and `NATS_CA`, as for the `nats` command; and
    /// `NATS_TLS_FIRST`, `NATS_JS_DOMAIN`, `NATS_JS_API_PREFIX` and `NATS_INBOX_PREFIX`. An empty variable counts as
    /// unset.
    ///
    /// # Errors
    /// A value that is neither true nor false.
    pub fn from_env() -> Result<Self, SettingsError> {
        environment::read(|name| env::var_os(name))
    }

    /// The configuration that follows from these settings, those of the environment, and the context that either of them
    /// names. If neither names a context or a server, from the context that `nats context select` has selected.
    ///
    /// # Errors
    /// A setting is invalid, or the context does not exist. Files of logins and certificates are read when a connection is
    /// made.
    pub fn config(self) -> Result<NatsConfig, SettingsError> {
        self.config_from(|name| env::var_os(name), true)
    }

    /// As [`config`](Self::config), without the context that is selected on this machine: for a program that should not
    /// depend on it.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub fn config_without_selected_context(self) -> Result<NatsConfig, SettingsError> {
        self.config_from(|name| env::var_os(name), false)
    }

    fn config_from(
        self,
        variable: impl Fn(&str) -> Option<OsString>,
        use_selected: bool,
    ) -> Result<NatsConfig, SettingsError> {
        let environment = environment::read(&variable)?;
        let files = ContextFiles::from_env(&variable);
        let named = self.context.as_ref().or(environment.context.as_ref());
        let names_no_server = self.servers.is_none() && environment.servers.is_none();
        let context = match named {
            Some(name) => Some((name.clone(), files.read(name)?)),
            // The login of a selected context belongs to its servers.
            None if use_selected && names_no_server => files.selected()?,
            None => None,
        };
        let mut places = vec![("the flags".to_owned(), self), ("the environment".to_owned(), environment)];
        places.extend(context.map(|(name, settings)| (format!("context {name}"), settings)));
        joined(&places)
    }

    /// The login. [`NatsAuth::None`] if this place has none.
    fn auth(&self, place: &str) -> Result<NatsAuth, SettingsError> {
        let incomplete = |has, lacks| SettingsError::Incomplete { place: place.to_owned(), has, lacks };
        if self.password.is_some() && self.user.is_none() {
            return Err(incomplete("a password", "a user"));
        }
        if self.user_seed.is_some() && self.user_jwt.is_none() {
            return Err(incomplete("the seed of a user JWT", "the user JWT"));
        }
        let usable = |value: Option<&Secret>, login: fn(&Secret) -> Option<NatsAuth>, setting, content| {
            let neither = || neither(place, setting, content);
            value.map(|value| login(value).ok_or_else(neither)).transpose()
        };
        let user = self.user.as_ref().map(|user| match &self.password {
            Some(password) => NatsAuth::password(user.expose(), password.clone()),
            None => NatsAuth::Token(user.clone()),
        });
        let jwt = self.user_jwt.clone().map(|jwt| NatsAuth::Jwt { jwt, seed: self.user_seed.clone() });
        let given = [
            ("user", user),
            ("token", self.token.clone().map(NatsAuth::Token)),
            ("nkey", usable(self.nkey.as_ref(), login_value::nkey, "nkey", "a seed")?),
            (
                "creds",
                usable(self.creds.as_ref(), login_value::creds, "creds", "the text of a credentials file")?,
            ),
            ("user JWT", jwt),
        ];
        let mut found: Vec<_> = given.into_iter().filter_map(|(name, auth)| Some((name, auth?))).collect();
        if found.len() > 1 {
            let found = found.into_iter().map(|(name, _)| name).collect();
            return Err(SettingsError::SeveralLogins { place: place.to_owned(), found });
        }
        let in_address = || self.servers.as_ref().map(|servers| servers.login().clone()).unwrap_or_default();
        Ok(found.pop().map_or_else(in_address, |(_, auth)| auth))
    }

    /// Refuses the text of a certificate or a key where its file is to be named.
    fn check_files(&self, place: &str) -> Result<(), SettingsError> {
        let files = [("cert", &self.certificate), ("key", &self.key), ("ca", &self.ca)];
        match files.iter().find(|(_, file)| file.as_deref().is_some_and(|path| !may_be_file(path))) {
            Some((setting, _)) => Err(neither(place, setting, "the name of one")),
            None => Ok(()),
        }
    }

    /// The files of the certificate and the key of this client.
    fn certificate_and_key(&self, place: &str) -> Result<Option<(PathBuf, PathBuf)>, SettingsError> {
        let incomplete = |has, lacks| Err(SettingsError::Incomplete { place: place.to_owned(), has, lacks });
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
            (None, None) => Ok(None),
            (Some(_), None) => incomplete("a client certificate", "its key"),
            (None, Some(_)) => incomplete("the key of a client certificate", "the certificate"),
        }
    }
}

fn neither(place: &str, setting: &'static str, content: &'static str) -> SettingsError {
    SettingsError::NeitherFileNorContent { place: place.to_owned(), setting, content }
}

/// The configuration that follows from the settings of several places, the most important first.
fn joined(places: &[(String, ConnectionSettings)]) -> Result<NatsConfig, SettingsError> {
    let mut config = NatsConfig::default();
    let mut tls_first = None;
    for (place, settings) in places.iter().rev() {
        if let Some(servers) = &settings.servers {
            let bad = |source| SettingsError::Servers { place: place.clone(), source };
            servers.check().map_err(bad)?;
            config.servers = servers.clone();
        }
        settings.check_files(place)?;
        let auth = settings.auth(place)?;
        if auth != NatsAuth::None {
            config.auth = auth;
        }
        if let Some(files) = settings.certificate_and_key(place)? {
            config.tls.certificate = Some(files);
        }
        tls_first = settings.tls_first.or(tls_first);
        replace(&mut config.tls.authorities, &settings.ca);
        replace(&mut config.jetstream_domain, &settings.jetstream_domain);
        replace(&mut config.jetstream_api_prefix, &settings.jetstream_api_prefix);
        if let Some(prefix) = &settings.inbox_prefix {
            config.inbox_prefix = prefix.clone();
        }
    }
    config.tls.first = tls_first.unwrap_or_default();
    Ok(config)
}

fn replace<T: Clone>(setting: &mut Option<T>, by: &Option<T>) {
    if by.is_some() {
        setting.clone_from(by);
    }
}

#[cfg(test)]
mod tests;
