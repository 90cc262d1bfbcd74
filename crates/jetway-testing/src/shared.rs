//! One server for a whole test process.

use jetway_server::NatsServer;
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
    match SHARED.get_or_try_init(NatsServer::start).await {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}
