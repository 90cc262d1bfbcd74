//! The host process that gets the faults.

use crate::{
    Error,
    fleet::{ACK_WAIT, STALE_AFTER, nats_config},
    interpreter::{ChildInterpreter, Interpreter, Journal},
};
use futures::future::BoxFuture;
use jetway::{
    Host, Namespace,
    host::{EngineConfig, HostBuilder, Limits, SystemConfig},
};
use std::{path::Path, time::Duration};

/// Serves the interpreter until the process is stopped or killed.
///
/// # Errors
/// The journal cannot be opened, or the host cannot be built or cannot continue.
pub fn serve<'a>(url: &'a str, namespace: Namespace, journal: &'a Path) -> BoxFuture<'a, Result<(), Error>> {
    // Boxed, so that it is compiled in this crate and not wherever it is awaited.
    Box::pin(async move { Ok(host(url, namespace, journal)?.build().await?.run().await?) })
}

/// The host, not built yet.
pub(crate) fn host(url: &str, namespace: Namespace, journal: &Path) -> Result<HostBuilder, Error> {
    Journal::open(journal).map_err(Error::io("open the journal"))?;
    let system = SystemConfig {
        concurrency: 64,
        sweep_every: ACK_WAIT,
        cleanup_every: ACK_WAIT,
        unroutable_grace: ACK_WAIT,
        drain_limit: Duration::from_secs(5),
        ..SystemConfig::new(format!("verify-{}", std::process::id()))
    };
    let engine = EngineConfig {
        stale_after: STALE_AFTER,
        // Its nodes end no host: that does the verifier, as often as chance has it.
        max_attempts: u32::MAX,
        // Small limits, so that payloads go into chunks beside the snapshot.
        limits: Limits { inline: 4 * 1024, group: 512, chunk: 8 * 1024, ..Limits::default() },
        ..EngineConfig::default()
    };
    Ok(Host::builder()
        .nats_config(nats_config(url, namespace))
        .workflow(Interpreter::new())
        .workflow(ChildInterpreter::new())
        .engine_config(engine)
        .system_config(system))
}
