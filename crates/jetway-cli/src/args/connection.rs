//! The flags of a connection. They have the names of the `nats` command, and its variables of the environment.

use clap::Args;
use jetway::{
    NatsConfig,
    nats::{ConnectionSettings, NatsTls, Secret, ServerList, SettingsError},
};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

/// The end of the help of every verb that connects to a server.
pub(crate) const CONNECTION_HELP: &str = "\
A connection setting comes from its flag, else from its environment variable, else from a
context of the `nats` command: the one that --context or NATS_CONTEXT names, or the selected
one if no server is named. Other users of this machine can see the flags of a running
command, so pass passwords in variables or files.";

/// How to connect to the NATS server, and how to log in.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// NATS servers, separated by commas; may contain user:password@ or token@ [env: NATS_URL] [default:
    /// nats://127.0.0.1:4222]
    // Parsed without an error, since the parser of arguments would quote the login that it may contain.
    #[arg(long = "nats", visible_alias = "server", value_name = "URL", value_parser = servers)]
    pub(crate) servers: Option<ServerList>,

    /// Context of the `nats` command [env: NATS_CONTEXT]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// User, or a token if there is no password [env: NATS_USER]
    #[arg(long, value_name = "NAME", value_parser = secret)]
    user: Option<Secret>,

    /// Password [env: NATS_PASSWORD]
    #[arg(long, value_name = "TEXT", value_parser = secret)]
    password: Option<Secret>,

    /// Token [env: NATS_TOKEN]
    #[arg(long, value_name = "TEXT", value_parser = secret)]
    token: Option<Secret>,

    /// File with the seed of an nkey, or the seed [env: NATS_NKEY]
    #[arg(long, value_name = "FILE", value_parser = secret)]
    nkey: Option<Secret>,

    /// Credentials file, or its text [env: NATS_CREDS]
    #[arg(long, value_name = "FILE", value_parser = secret)]
    creds: Option<Secret>,

    /// Certificate of this client [env: NATS_CERT]
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,

    /// Key of that certificate [env: NATS_KEY]
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,

    /// CA certificates, instead of those of this machine [env: NATS_CA]
    #[arg(long, value_name = "FILE")]
    tlsca: Option<PathBuf>,

    /// Start with TLS, before the greeting of the server [env: NATS_TLS_FIRST]
    #[arg(long)]
    tlsfirst: bool,

    /// JetStream domain [env: NATS_JS_DOMAIN]
    #[arg(long, value_name = "NAME")]
    js_domain: Option<String>,

    /// Prefix of the JetStream API [env: NATS_JS_API_PREFIX] [default: $JS.API]
    #[arg(long, value_name = "SUBJECT")]
    js_api_prefix: Option<String>,

    /// Prefix of reply subjects [env: NATS_INBOX_PREFIX] [default: _INBOX]
    #[arg(long, value_name = "SUBJECT")]
    inbox_prefix: Option<String>,
}

impl ConnectionArgs {
    /// The configuration that follows from the flags, the environment and the context.
    ///
    /// # Errors
    /// A setting is invalid, or there is no such context.
    pub(crate) fn config(&self) -> Result<NatsConfig, SettingsError> {
        self.settings().config()
    }

    /// Whether a flag names a server.
    pub(crate) fn names_a_server(&self) -> bool {
        self.servers.is_some() || self.context.is_some()
    }

    /// The flags with which another command reaches the server, each after a space, for a shell. Logins are left out, unless
    /// they are files.
    pub(crate) fn server_flags(&self) -> String {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let login = |secret: &Option<Secret>| {
            let secret = secret.as_ref().map(Secret::expose);
            secret.filter(|name| Path::new(name).is_file()).map(str::to_owned)
        };
        let flags = [
            ("--nats", self.servers.as_ref().map(for_a_flag)),
            ("--context", self.context.clone()),
            ("--nkey", login(&self.nkey)),
            ("--creds", login(&self.creds)),
            ("--tlscert", file(&self.tlscert)),
            ("--tlskey", file(&self.tlskey)),
            ("--tlsca", file(&self.tlsca)),
            ("--js-domain", self.js_domain.clone()),
            ("--js-api-prefix", self.js_api_prefix.clone()),
            ("--inbox-prefix", self.inbox_prefix.clone()),
        ];
        let with_values = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        let mut text: String =
            with_values.map(|(flag, value)| format!(" {flag} {}", quoted(&value))).collect();
        if self.tlsfirst {
            text.push_str(" --tlsfirst");
        }
        text
    }

    /// Whether a command without flags connects to this server as it is: by the environment, the selected context, or as the
    /// default.
    pub(crate) fn default_is(servers: &ServerList) -> bool {
        ConnectionSettings::default().config().is_ok_and(|config| {
            let is_plain = config.tls == NatsTls::default()
                && config.jetstream_domain.is_none()
                && config.jetstream_api_prefix.is_none();
            is_plain && config.servers.to_string() == servers.to_string()
        })
    }

    /// Whether there is no flag at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.settings() == ConnectionSettings::default()
    }

    fn settings(&self) -> ConnectionSettings {
        let flags = self.clone();
        ConnectionSettings {
            context: flags.context,
            servers: flags.servers,
            user: flags.user,
            password: flags.password,
            token: flags.token,
            nkey: flags.nkey,
            creds: flags.creds,
            user_jwt: None,
            user_seed: None,
            certificate: flags.tlscert,
            key: flags.tlskey,
            ca: flags.tlsca,
            tls_first: flags.tlsfirst.then_some(true),
            jetstream_domain: flags.js_domain,
            jetstream_api_prefix: flags.js_api_prefix,
            inbox_prefix: flags.inbox_prefix,
        }
    }
}

/// The addresses without their login, in one word.
pub(crate) fn for_a_flag(servers: &ServerList) -> String {
    servers.to_string().replace(", ", ",")
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:,@%+=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn servers(text: &str) -> Result<ServerList, Infallible> {
    Ok(ServerList::from(text))
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text))
}
