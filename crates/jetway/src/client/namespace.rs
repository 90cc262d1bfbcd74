//! Setting up a namespace, and checking it.

use super::ClientError;
use crate::nats::{NamespaceReport, NatsConfig, Provisioning};
use jetway_nats::NatsBackend;

/// Creates the streams of the namespace that are missing, and records the number of replicas
/// ([`NatsConfig::replicas`]) for all its hosts. If that is another number than before, changes the streams that exist:
/// hosts may be running, and no work is lost. Repeating it changes nothing.
///
/// ```no_run
/// # async fn example() -> Result<(), jetway::client::ClientError> {
/// use jetway::{NatsConfig, client::set_up};
///
/// let mut config = NatsConfig::new("nats://a:4222, nats://b:4222, nats://c:4222");
/// config.replicas = Some(3);
/// let report = set_up(config).await?;
/// println!("created {:?}, changed {:?}", report.created, report.changed);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server does not answer, is no cluster of so many servers, or has streams that this version cannot use.
pub async fn set_up(config: NatsConfig) -> Result<NamespaceReport, ClientError> {
    Ok(jetway_nats::set_up(config).await?)
}

/// Checks that the streams of the namespace exist and are configured as this version needs them. Changes nothing.
///
/// # Errors
/// A stream is missing or has other settings, or the server does not answer.
pub async fn check_streams(config: NatsConfig) -> Result<(), ClientError> {
    NatsBackend::connect(NatsConfig { provisioning: Provisioning::Check, ..config }).await?;
    Ok(())
}

/// The streams and buckets of the namespace that an earlier version used under another name, each in a sentence that says
/// how to remove it. Works on a server without the streams of this version, and changes nothing.
///
/// # Errors
/// The server does not answer.
pub async fn obsolete_streams(config: NatsConfig) -> Result<Vec<String>, ClientError> {
    let backend = NatsBackend::connect(NatsConfig { provisioning: Provisioning::Trust, ..config }).await?;
    Ok(backend.obsolete_streams().await?)
}
