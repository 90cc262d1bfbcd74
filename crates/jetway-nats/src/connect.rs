//! Connecting, and what the server says about itself.

use crate::{
    config::{NatsAuth, NatsConfig},
    error::Failure,
    jsapi,
    link::{Follower, Link},
    snapshots::PART,
    write::OVERHEAD,
};
use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr, jetstream::context::ContextBuilder};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{sync::Arc, time::Duration};

/// The oldest server that has atomic batches.
const OLDEST: (i64, i64) = (2, 12);
/// Large values are divided into parts that have to be carried whole.
const SMALLEST_PAYLOAD: usize = PART + OVERHEAD;
/// A silent connection is asked for a sign of life after so long; it is given up after three times as long.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a request that is not a write may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Commands that wait for the socket: above the writes that may be under way at once.
const COMMANDS: usize = 16_384;

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// The name of its cluster; `None` for a single server.
    pub cluster: Option<String>,
    /// The largest message that it takes, in bytes.
    pub max_payload: usize,
    /// How many bytes on disk the account may use; `None` where it has no limit of its own.
    pub max_storage: Option<u64>,
    /// How many bytes on disk the account uses.
    pub storage: u64,
}

/// Connects and checks the server.
///
/// # Errors
/// Says which server does not answer, refuses, is too old, or has no JetStream, and what to do.
pub(crate) async fn connect(config: &NatsConfig) -> Result<(Arc<Link>, ServerFacts), BackendError> {
    let (follower, state) = Follower::new();
    let options = options(config, &follower).await?;
    let client = options.connect(addresses(config)?).await.map_err(|error| refused(config, error))?;
    let jetstream = ContextBuilder::new().timeout(ANSWER_WITHIN).build(client.clone());
    let link = Arc::new(Link { client, jetstream, state });
    let facts = facts(&link, config).await?;
    Ok((link, facts))
}

fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>, BackendError> {
    let addresses: Result<Vec<ServerAddr>, _> = config.urls.iter().map(|url| url.trim().parse()).collect();
    let bad = |reason: String| {
        let sentence = format!(
            "{:?} is no address of a nats-server, such as nats://127.0.0.1:4222: {reason}",
            config.addresses()
        );
        BackendError::new(BackendErrorKind::Misconfigured, sentence)
    };
    match addresses {
        Ok(addresses) if addresses.is_empty() => Err(bad("there is none".to_owned())),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(bad(error.to_string())),
    }
}

async fn options(config: &NatsConfig, follower: &Follower) -> Result<ConnectOptions, BackendError> {
    let (events, delays) = (follower.clone(), follower.clone());
    let mut options = ConnectOptions::new()
        .name(&config.name)
        .custom_inbox_prefix(&config.inbox_prefix)
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(Some(ANSWER_WITHIN))
        .client_capacity(COMMANDS)
        .require_tls(config.tls.required)
        .reconnect_delay_callback(move |attempt| reconnect_delay(attempt, delays.was_connected()))
        .event_callback(move |event| {
            let events = events.clone();
            async move { events.follow(&event) }
        });
    if config.tls.first {
        options = options.tls_first();
    }
    if let Some(path) = &config.tls.authorities {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &config.tls.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    log_in(options, &config.auth).await
}

async fn log_in(options: ConnectOptions, auth: &NatsAuth) -> Result<ConnectOptions, BackendError> {
    let unreadable = |what: String| {
        move |error| {
            BackendError::new(BackendErrorKind::Misconfigured, format!("cannot use {what}")).caused_by(error)
        }
    };
    match auth {
        NatsAuth::None => Ok(options),
        NatsAuth::Token(token) => Ok(options.token(token.clone())),
        NatsAuth::Password { user, password } => {
            Ok(options.user_and_password(user.clone(), password.clone()))
        }
        NatsAuth::NKey(seed) => Ok(options.nkey(seed.clone())),
        NatsAuth::CredentialsFile(path) => {
            let what = format!("the credentials file {}", path.display());
            options.credentials_file(path).await.map_err(unreadable(what))
        }
        NatsAuth::Credentials(text) => {
            options.credentials(text).map_err(unreadable("the credentials".to_owned()))
        }
    }
}

/// At once the first time, then 50 ms, 100 ms, and so on up to half a second; a fifth of it by chance, so that the hosts
/// of a server that comes back do not come all at once.
fn reconnect_delay(attempt: usize, again: bool) -> Duration {
    if !again && attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(4);
    let delay = (50_u64 << doublings).min(500);
    Duration::from_millis(delay - rand::random_range(0..=delay / 5))
}

fn refused(config: &NatsConfig, error: async_nats::ConnectError) -> BackendError {
    let at = config.addresses();
    let (kind, sentence) = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => (
            BackendErrorKind::Refused,
            format!(
                "the nats-server at {at} refuses the login: check user, password, token, nkey or credentials file"
            ),
        ),
        ConnectErrorKind::Tls => (
            BackendErrorKind::Misconfigured,
            format!(
                "no TLS connection to the nats-server at {at}: check the certificates and the authorities"
            ),
        ),
        ConnectErrorKind::ServerParse => {
            (BackendErrorKind::Misconfigured, format!("{at} is no address of a nats-server"))
        }
        ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => (
            BackendErrorKind::Unavailable,
            format!("no nats-server at {at}: start one with `jetway dev`, or set NATS_URL"),
        ),
    };
    BackendError::new(kind, sentence).caused_by(error)
}

async fn facts(link: &Link, config: &NatsConfig) -> Result<ServerFacts, BackendError> {
    let info = link.client.server_info();
    let (major, minor) = OLDEST;
    if !link.client.is_server_compatible(major, minor, 0) {
        return Err(BackendError::new(
            BackendErrorKind::Misconfigured,
            format!(
                "the nats-server at {} is version {}, and Jetway needs {major}.{minor} or newer: update it",
                config.addresses(),
                info.version
            ),
        ));
    }
    if info.max_payload < SMALLEST_PAYLOAD {
        let sentence = format!(
            "the nats-server at {} has max_payload = {}, and Jetway needs {SMALLEST_PAYLOAD} or more: raise it, \
             the server's default is 1MB",
            config.addresses(),
            info.max_payload
        );
        return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
    }
    let account = jsapi::account(link).await.map_err(|failure| no_jetstream(link, config, failure))?;
    Ok(ServerFacts {
        version: info.version,
        name: info.server_name,
        cluster: info.cluster.filter(|name| !name.is_empty()),
        max_payload: info.max_payload,
        max_storage: account.limits.max_storage.and_then(|most| u64::try_from(most).ok()),
        storage: account.storage,
    })
}

fn no_jetstream(link: &Link, config: &NatsConfig, failure: Failure) -> BackendError {
    let at = config.addresses();
    if let Failure::Nobody = failure {
        let sentence = format!(
            "the nats-server at {at} has JetStream switched off: start it with -js, or with Jetway's nats.conf"
        );
        return BackendError::new(BackendErrorKind::Misconfigured, sentence);
    }
    failure.cannot(format!("use JetStream at {at}{}", link.now().refused()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_connection_does_not_wait() {
        assert_eq!(reconnect_delay(1, false), Duration::ZERO);
    }

    #[test]
    fn reconnects_slow_down_to_half_a_second() {
        for (attempt, longest) in [(1, 50), (2, 100), (3, 200), (4, 400), (5, 500), (1000, 500)] {
            for _ in 0..50 {
                let delay = reconnect_delay(attempt, true).as_millis();
                assert!((longest * 4 / 5..=longest).contains(&delay), "attempt {attempt}: {delay} ms");
            }
        }
    }

    #[test]
    fn a_bad_address_is_named() {
        let error = addresses(&NatsConfig::new("nats://[")).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
        assert!(error.to_string().contains("nats://["), "{error}");
    }
}
