//! Connecting to a server and checking that it can do what Jetway needs.

use super::{Connection, Failure, MESSAGE_OVERHEAD, PART_BYTES, ServerClock, api, events::ConnectionEvents};
use crate::config::{NatsAuth, NatsConfig};
use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr, jetstream::context::ContextBuilder};
use jetway_core::clock::{Clock as _, SystemClock};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{sync::Arc, time::Duration};

/// The first version with atomic batches.
const OLDEST_VERSION: (i64, i64) = (2, 12);
/// A part of a large value must fit into one message.
const MIN_MAX_PAYLOAD: usize = PART_BYTES + MESSAGE_OVERHEAD;
/// The interval of pings on an idle connection. After two pings without a reply the connection counts as lost.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a request that is not a write may take.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// How many commands may wait for the socket. It is larger than the number of writes in flight.
const COMMAND_QUEUE: usize = 16_384;

/// Version, name and limits of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// The name of its cluster. `None` for a single server.
    pub cluster: Option<String>,
    /// The largest message that it accepts, in bytes.
    pub max_payload: usize,
    /// The account's limit of disk space, in bytes. `None` if the account has no limit.
    pub max_storage: Option<u64>,
    /// The disk space that the account uses, in bytes.
    pub storage: u64,
}

/// Connects to the server and checks it.
///
/// # Errors
/// `Unavailable` if no server is reachable, `Refused` if it refuses the credentials, `Misconfigured` if it is too old, has
/// no JetStream, or a too small `max_payload`. The message names the server and what to do.
pub(crate) async fn connect(config: &NatsConfig) -> Result<(Arc<Connection>, ServerFacts), BackendError> {
    let (events, state) = ConnectionEvents::new();
    let options = options(config, &events).await?;
    let client = options.connect(addresses(config)?).await.map_err(|error| refused(config, error))?;
    let jetstream = ContextBuilder::new().timeout(REPLY_WITHIN).build(client.clone());
    // Until the server tells its time. Its first answers do.
    let server_clock = Arc::new(ServerClock::new(SystemClock.now()));
    let own_clock = config.clock.clone();
    let connection = Arc::new(Connection { client, jetstream, state, server_clock, own_clock });
    let facts = facts(&connection, config).await?;
    Ok((connection, facts))
}

fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>, BackendError> {
    let addresses: Result<Vec<ServerAddr>, _> = config.urls.iter().map(|url| url.trim().parse()).collect();
    let invalid = |reason: String| {
        let sentence = format!(
            "{:?} is not the address of a nats-server ({reason}): use one like nats://127.0.0.1:4222",
            config.addresses()
        );
        BackendError::new(BackendErrorKind::Misconfigured, sentence)
    };
    match addresses {
        Ok(addresses) if addresses.is_empty() => Err(invalid("it is empty".to_owned())),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(invalid(error.to_string())),
    }
}

async fn options(config: &NatsConfig, events: &ConnectionEvents) -> Result<ConnectOptions, BackendError> {
    let (events, delays) = (events.clone(), events.clone());
    let mut options = ConnectOptions::new()
        .name(&config.name)
        .custom_inbox_prefix(&config.inbox_prefix)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(Some(REPLY_WITHIN))
        .client_capacity(COMMAND_QUEUE)
        .require_tls(config.tls.required)
        .reconnect_delay_callback(move |attempt| reconnect_delay(attempt, delays.was_connected()))
        .event_callback(move |event| {
            let events = events.clone();
            async move { events.handle(&event) }
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
    with_auth(options, &config.auth).await
}

async fn with_auth(options: ConnectOptions, auth: &NatsAuth) -> Result<ConnectOptions, BackendError> {
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

/// The delay before an attempt to connect: none before the very first one, then 50 ms, 100 ms and so on up to 500 ms. A
/// fifth of it is jitter, so that the hosts do not all reconnect at the same moment after a restart of the server.
///
/// The client library asks for the delay by the number of the attempt, so that an iterator of delays does not fit here.
fn reconnect_delay(attempt: usize, was_connected: bool) -> Duration {
    if !was_connected && attempt <= 1 {
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
                "cannot make a TLS connection to the nats-server at {at}: check the certificate and the CA file"
            ),
        ),
        ConnectErrorKind::ServerParse => {
            (BackendErrorKind::Misconfigured, format!("{at} is not the address of a nats-server"))
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

async fn facts(connection: &Connection, config: &NatsConfig) -> Result<ServerFacts, BackendError> {
    let info = connection.client.server_info();
    let (major, minor) = OLDEST_VERSION;
    if !connection.client.is_server_compatible(major, minor, 0) {
        return Err(BackendError::new(
            BackendErrorKind::Misconfigured,
            format!(
                "the nats-server at {} is version {}, and Jetway needs {major}.{minor} or newer: update it",
                config.addresses(),
                info.version
            ),
        ));
    }
    if info.max_payload < MIN_MAX_PAYLOAD {
        let sentence = format!(
            "the nats-server at {} has max_payload = {}, and Jetway needs {MIN_MAX_PAYLOAD} or more: raise it (the \
             server's default is 1MB)",
            config.addresses(),
            info.max_payload
        );
        return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
    }
    let account = api::account(connection).await;
    let account = account.map_err(|failure| no_jetstream(connection, config, failure))?;
    Ok(ServerFacts {
        version: info.version,
        name: info.server_name,
        cluster: info.cluster.filter(|name| !name.is_empty()),
        max_payload: info.max_payload,
        max_storage: account.limits.max_storage.and_then(|most| u64::try_from(most).ok()),
        storage: account.storage,
    })
}

fn no_jetstream(connection: &Connection, config: &NatsConfig, failure: Failure) -> BackendError {
    let at = config.addresses();
    if let Failure::NoResponders = failure {
        let sentence = format!(
            "the nats-server at {at} has JetStream switched off: start it with -js, or with Jetway's nats.conf"
        );
        return BackendError::new(BackendErrorKind::Misconfigured, sentence);
    }
    failure.cannot(format!("use JetStream at {at}{}", connection.current_state().server_error_suffix()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_has_no_delay() {
        assert_eq!(reconnect_delay(1, false), Duration::ZERO);
    }

    #[test]
    fn reconnect_delays_grow_to_half_a_second() {
        for (attempt, longest) in [(1, 50), (2, 100), (3, 200), (4, 400), (5, 500), (1000, 500)] {
            for _ in 0..50 {
                let delay = reconnect_delay(attempt, true).as_millis();
                assert!((longest * 4 / 5..=longest).contains(&delay), "attempt {attempt}: {delay} ms");
            }
        }
    }

    #[test]
    fn an_invalid_address_is_named() {
        let error = addresses(&NatsConfig::new("nats://[")).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
        assert!(error.to_string().contains("nats://["), "{error}");
    }
}
