//! Connecting to a server and checking that it can do what Jetway needs.

use super::{
    Connection, Failure, MESSAGE_OVERHEAD, PART_BYTES, ServerClock, api,
    connect_failure::{ConnectFailure, ConnectProblem},
    events::ConnectionEvents,
    no_room::NoRoom,
    options::{api_prefix, options},
};
use crate::{
    config::{NatsConfig, ServerAddress},
    names::ReplyPrefixes,
};
use async_nats::{
    Client, ServerAddr,
    jetstream::{ErrorCode, context::ContextBuilder},
};
use jetway_core::clock::{Clock as _, SystemClock};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use rand::seq::SliceRandom as _;
use std::{sync::Arc, time::Duration};

/// The first version with atomic batches.
const OLDEST_VERSION: (i64, i64) = (2, 12);
/// A part of a large value must fit into one message.
const MIN_MAX_PAYLOAD: usize = PART_BYTES + MESSAGE_OVERHEAD;
/// How long a request that is not a write may take.
pub(super) const REPLY_WITHIN: Duration = Duration::from_secs(5);

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

/// Connects to one of the servers and checks it.
///
/// # Errors
/// `Unavailable` if no server is reachable, `Refused` if it refuses the login or lacks a permission, `Misconfigured` if
/// its certificate is not valid, it is too old, has no JetStream, or a too small `max_payload`. The message names the
/// server and what to do; the source is a [`ConnectFailure`].
pub(crate) async fn connect(config: &NatsConfig) -> Result<(Arc<Connection>, ServerFacts), BackendError> {
    config
        .servers
        .check()
        .map_err(|bad| BackendError::new(BackendErrorKind::Misconfigured, bad.to_string()))?;
    let api_prefix = api_prefix(config)?;
    ReplyPrefixes::new(&config.inbox_prefix, &config.reply_prefixes)
        .map_err(|error| ConnectProblem::BadSetting.error(error.to_string()))?;
    let (events, state) = ConnectionEvents::new();
    let client = connect_to_any(config, &events).await?;
    let jetstream =
        ContextBuilder::new().api_prefix(api_prefix.clone()).timeout(REPLY_WITHIN).build(client.clone());
    // Until the server tells its time. Its first answers do.
    let server_clock = Arc::new(ServerClock::new(SystemClock.now()));
    let own_clock = config.clock.clone();
    let inbox_prefix = config.inbox_prefix.clone();
    let connection = Connection {
        client,
        jetstream,
        api_prefix,
        inbox_prefix,
        state,
        server_clock,
        own_clock,
        missing: Arc::default(),
        no_room: NoRoom::default(),
    };
    let connection = Arc::new(connection);
    let facts = facts(&connection, config).await?;
    Ok((connection, facts))
}

/// Connects to the first server that accepts, in random order. Each is tried by itself, so that an error can say what each
/// of them did.
async fn connect_to_any(config: &NatsConfig, events: &ConnectionEvents) -> Result<Client, BackendError> {
    let mut servers: Vec<&ServerAddress> = config.servers.addresses().iter().collect();
    servers.shuffle(&mut rand::rng());
    let mut failures = Vec::new();
    for server in servers {
        let options = options(config, events).await?;
        match options.connect(parsed(server)?).await {
            Ok(client) => {
                use_all_servers(&client, config).await?;
                return Ok(client);
            }
            Err(error) => failures.push(ConnectFailure::new(server, config, &error)),
        }
    }
    Err(ConnectFailure::together(failures))
}

/// After a loss, the client tries all configured servers and those that the server has named.
async fn use_all_servers(client: &Client, config: &NatsConfig) -> Result<(), BackendError> {
    if config.servers.addresses().len() == 1 {
        return Ok(());
    }
    let closed = |error: &dyn std::fmt::Display| {
        let sentence = format!("the connection to the nats-server was closed during the setup: {error}");
        BackendError::new(BackendErrorKind::Unavailable, sentence)
    };
    let known = client.server_pool().await.map_err(|error| closed(&error))?;
    let mut pool = config.servers.addresses().iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    pool.extend(
        known
            .into_iter()
            .map(|server| server.addr)
            .filter(|server| !pool.contains(server))
            .collect::<Vec<_>>(),
    );
    client.set_server_pool(pool).await.map_err(|error| closed(&error))
}

fn parsed(server: &ServerAddress) -> Result<ServerAddr, BackendError> {
    server.to_string().parse().map_err(|error: std::io::Error| {
        let sentence = format!("cannot use the address {server}");
        BackendError::new(BackendErrorKind::Misconfigured, sentence).caused_by(error)
    })
}

async fn facts(connection: &Connection, config: &NatsConfig) -> Result<ServerFacts, BackendError> {
    let info = connection.client.server_info();
    let at = &config.servers;
    let (major, minor) = OLDEST_VERSION;
    if !connection.client.is_server_compatible(major, minor, 0) {
        let version = &info.version;
        let sentence = format!(
            "the nats-server at {at} is version {version}, and Jetway needs {major}.{minor} or newer: update it"
        );
        return Err(ConnectProblem::TooOld.error(sentence));
    }
    if info.max_payload < MIN_MAX_PAYLOAD {
        let max_payload = info.max_payload;
        let sentence = format!(
            "the nats-server at {at} has max_payload = {max_payload}, and Jetway needs {MIN_MAX_PAYLOAD} or more: raise \
             it (the server's default is 1MB)"
        );
        return Err(ConnectProblem::SmallMaxPayload.error(sentence));
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
    let at = &config.servers;
    let is_off = [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    match (&failure, &config.jetstream_api_prefix, &config.jetstream_domain) {
        (Failure::NoResponders, Some(prefix), _) => ConnectProblem::UnknownDomain.error(format!(
            "nothing answers at the JetStream API prefix {prefix} of the nats-server at {at}: check the prefix, and the \
             imports of the account"
        )),
        (Failure::NoResponders, None, Some(domain)) => ConnectProblem::UnknownDomain.error(format!(
            "the nats-server at {at} knows no JetStream domain {domain}: check the name, and whether the leaf node of \
             that domain is connected"
        )),
        (Failure::NoResponders, None, None) => ConnectProblem::JetStreamOff.error(format!(
            "the nats-server at {at} has JetStream switched off: start it with -js, or with Jetway's nats.conf"
        )),
        (Failure::Refused(error), ..) if is_off.contains(&error.error_code()) => {
            ConnectProblem::JetStreamOff.error(format!(
                "the nats-server at {at} has JetStream switched off for this account: enable it in the account ({error})"
            ))
        }
        (Failure::NotPermitted(violation), ..) => ConnectProblem::NotPermitted.error(format!(
            "the nats-server at {at} does not let this user use JetStream ({violation}): give the user the permission"
        )),
        _ => failure.cannot(format!("use JetStream at {at}{}", connection.current_state().server_error_suffix())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_invalid_address_is_named() {
        let error = connect(&NatsConfig::new("nats://[")).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
        assert!(error.to_string().contains("nats://["), "{error}");
    }
}
