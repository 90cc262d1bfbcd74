//! Consumers: a durable one for each workflow and stream, and an ephemeral one for a scan.

use crate::{
    config::{NatsConfig, Provisioning},
    session::{Connection, api},
};
use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, Config, DeliverPolicy},
};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::time::Duration;

/// Creates a durable consumer if it does not exist. An existing one is checked and never changed. Returns its `ack_wait`:
/// how long a lease lasts without an extension.
///
/// # Errors
/// `Misconfigured` if the existing one would lose messages or deliver others. `Unavailable` while there is none, and this
/// host may not make it, or while its stream is missing.
pub(crate) async fn ensure_consumer(
    connection: &Connection,
    config: &NatsConfig,
    stream: &str,
    name: &str,
    filter: &str,
) -> Result<Duration, BackendError> {
    if config.provisioning == Provisioning::Trust {
        return Ok(config.ack_wait);
    }
    let action = || {
        let suffix = connection.current_state().server_error_suffix();
        format!("use consumer {name} of stream {stream}{suffix}")
    };
    let found = match api::consumer_info(connection, stream, name).await {
        Ok(info) => info.config,
        Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => {
            if config.provisioning == Provisioning::Check {
                let sentence = format!(
                    "there is no consumer {name} of stream {stream}: create it by starting a host whose user may \
                     create consumers"
                );
                // Another host may be about to make it.
                return Err(BackendError::new(BackendErrorKind::Unavailable, sentence));
            }
            match api::create_consumer(connection, stream, &expected(config, name, filter)).await {
                Ok(info) => info.config,
                // Another host has created it with other values. They are checked below.
                Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_ALREADY_EXISTS) => {
                    api::consumer_info(connection, stream, name)
                        .await
                        .map_err(|failure| failure.cannot(action()))?
                        .config
                }
                Err(failure) => return Err(failure.cannot(action())),
            }
        }
        Err(failure) => return Err(failure.cannot(action())),
    };
    check(&found, stream, name, filter)?;
    Ok(found.ack_wait)
}

fn expected(config: &NatsConfig, name: &str, filter: &str) -> Config {
    Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait,
        // With a limit, a message would stay in the stream after the last delivery and never be delivered again.
        max_deliver: -1,
        max_ack_pending: i64::from(config.max_ack_pending),
        ..Config::default()
    }
}

fn check(found: &Config, stream: &str, name: &str, filter: &str) -> Result<(), BackendError> {
    let differences = [
        ("filter_subject", found.filter_subject.clone(), filter.to_owned()),
        ("ack_policy", format!("{:?}", found.ack_policy), format!("{:?}", AckPolicy::Explicit)),
        ("max_deliver", found.max_deliver.to_string(), "-1".to_owned()),
    ];
    for (field, is, should) in differences {
        if is != should {
            return Err(BackendError::new(
                BackendErrorKind::Misconfigured,
                format!(
                    "consumer {name} of stream {stream} has {field} = {is}, and Jetway needs {should}: remove it \
                     with `nats consumer rm {stream} {name}`, and start the host again"
                ),
            ));
        }
    }
    Ok(())
}

/// A consumer for one scan. It delivers headers only, and the server removes it soon after its last use.
pub(crate) fn ephemeral_consumer(name: String, filter: String, from: DeliverPolicy) -> Config {
    Config {
        name: Some(name),
        filter_subject: filter,
        deliver_policy: from,
        ack_policy: AckPolicy::None,
        headers_only: true,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(10),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_with_a_delivery_limit_is_refused() {
        let config = NatsConfig::default();
        let mut found = expected(&config, "work_a", "jetway.ns.work.a.>");
        assert!(check(&found, "S", "work_a", "jetway.ns.work.a.>").is_ok());
        found.ack_wait = Duration::from_secs(1);
        assert!(check(&found, "S", "work_a", "jetway.ns.work.a.>").is_ok());
        found.max_deliver = 5;
        let refusal = check(&found, "S", "work_a", "jetway.ns.work.a.>").unwrap_err().to_string();
        assert!(
            refusal.contains("max_deliver = 5") && refusal.contains("nats consumer rm S work_a"),
            "{refusal}"
        );
    }
}
