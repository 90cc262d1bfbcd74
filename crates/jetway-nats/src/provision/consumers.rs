//! The durable consumers that hand out messages: one for each workflow and stream.

use crate::{
    config::{NatsConfig, Provisioning},
    jsapi,
    link::Link,
};
use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, Config, DeliverPolicy},
};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::time::Duration;

/// What matters of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConsumerFacts {
    /// How long a message is held without a sign of life.
    pub(crate) ack_wait: Duration,
}

/// Makes a consumer exist. One that is there is never changed; it is checked.
///
/// # Errors
/// `Misconfigured` where the one that is there would lose messages or hand out others.
pub(crate) async fn ensure_consumer(
    link: &Link,
    config: &NatsConfig,
    stream: &str,
    name: &str,
    filter: &str,
) -> Result<ConsumerFacts, BackendError> {
    if config.provisioning == Provisioning::Trust {
        return Ok(ConsumerFacts { ack_wait: config.ack_wait });
    }
    let what = || format!("use consumer {name} of stream {stream}{}", link.now().refused());
    let found = match jsapi::consumer_info(link, stream, name).await {
        Ok(info) => info.config,
        Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => {
            if config.provisioning == Provisioning::Check {
                let sentence =
                    format!("there is no consumer {name} of stream {stream}: it is to be created first");
                return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
            }
            match jsapi::create_consumer(link, stream, &wanted(config, name, filter)).await {
                Ok(info) => info.config,
                // Another host was faster, with other values.
                Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_ALREADY_EXISTS) => {
                    jsapi::consumer_info(link, stream, name)
                        .await
                        .map_err(|failure| failure.cannot(what()))?
                        .config
                }
                Err(failure) => return Err(failure.cannot(what())),
            }
        }
        Err(failure) => return Err(failure.cannot(what())),
    };
    check(&found, stream, name, filter)?;
    Ok(ConsumerFacts { ack_wait: found.ack_wait })
}

fn wanted(config: &NatsConfig, name: &str, filter: &str) -> Config {
    Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait,
        // A message that was delivered too often would stay in the stream and never be seen again.
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

/// A consumer for one reader, gone soon after it is not used any more. It reads headers only.
pub(crate) fn transient_consumer(name: String, filter: String, from: DeliverPolicy) -> Config {
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
    fn a_consumer_that_would_strand_messages_is_refused() {
        let config = NatsConfig::default();
        let mut found = wanted(&config, "work_a", "jetway.ns.work.a.>");
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
