//! One server for a whole test process.

use jetway_server::{NATS_CONF, NatsServer, ServerError};
use tokio::sync::OnceCell;

/// The server that all tests of this process share; the first call starts it. Tests keep apart by
/// [`unique_namespace`](crate::unique_namespace).
///
/// It ends with the process. It cannot be killed or restarted: a test that needs that starts a [`NatsServer`] of its own.
///
/// # Panics
///
/// When there is no server, or it does not start; the message says why and what to do.
pub async fn shared_server() -> &'static NatsServer {
    static SHARED: OnceCell<NatsServer> = OnceCell::const_new();
    match SHARED.get_or_try_init(start).await {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}

/// The configuration of a server for hundreds of namespaces.
///
/// Each namespace reserves room for the streams that clients can fill. What the tests of a process reserve has nothing to do with what
/// they use, or with the free space of the disk.
pub fn conf_for_many_namespaces() -> String {
    NATS_CONF.replacen("jetstream {\n", "jetstream {\n  max_file_store: 1TB\n", 1)
}

async fn start() -> Result<NatsServer, ServerError> {
    NatsServer::builder().config(conf_for_many_namespaces()).start().await
}
