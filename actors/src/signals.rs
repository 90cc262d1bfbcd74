//! The signals that ask a process to stop.

use std::{fmt, io};
use tokio::signal;

/// A signal that asks the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownSignal {
    /// Ctrl-C, or SIGINT.
    Interrupt,
    /// SIGTERM, which service managers and Kubernetes send.
    Terminate,
}

impl fmt::Display for ShutdownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Resolves with the signal that asks the process to stop. After the first call these signals do not end the process by
/// themselves any more. Call again to wait for a second signal.
///
/// # Errors
/// If no signal handler can be installed.
pub async fn shutdown_requested() -> io::Result<ShutdownSignal> {
    tokio::select! {
        interrupt = signal::ctrl_c() => interrupt.map(|()| ShutdownSignal::Interrupt),
        terminate = terminated() => terminate.map(|()| ShutdownSignal::Terminate),
    }
}

#[cfg(unix)]
async fn terminated() -> io::Result<()> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    // `None` means that no signal can arrive any more.
    match terminate.recv().await {
        Some(()) => Ok(()),
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() -> io::Result<()> {
    std::future::pending().await
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};
    use std::pin::pin;

    #[tokio::test]
    async fn both_signals_are_seen() {
        for (sent, seen) in
            [(Signal::TERM, ShutdownSignal::Terminate), (Signal::INT, ShutdownSignal::Interrupt)]
        {
            let mut requested = pin!(shutdown_requested());
            assert!(futures::poll!(&mut requested).is_pending());
            kill_process(getpid(), sent).unwrap();
            assert_eq!(requested.await.unwrap(), seen);
        }
    }
}
