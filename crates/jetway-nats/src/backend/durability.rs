//! How durable an acknowledged write is, as far as a client can know.
//!
//! A client cannot read the server's `sync_interval`, but it can measure writes: if every write is synced, writes that are
//! sent together still cost a sync each. This is a measurement and no proof, and the messages say so.

use super::NatsBackend;
use crate::session::{Failure, api};
use futures::future::BoxFuture;
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::Rounded;
use std::{fmt, time::Duration};
use tokio::time::Instant;

/// How many writes are measured.
const WRITES: usize = 96;
/// A write that takes less than this was not synced to a disk that survives a power failure.
const SURELY_NOT_SYNCED: Duration = Duration::from_micros(30);
/// If a write of many takes more than this, it waited for something, most likely for the disk.
const LIKELY_SYNCED: Duration = Duration::from_micros(80);

/// How durable an acknowledged write is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// The number of servers that store each snapshot.
    pub replicas: usize,
    /// Whether snapshots are stored on disk. Otherwise they are in memory.
    pub on_disk: bool,
    /// Whether each write seems to be synced to disk before it is acknowledged.
    pub synced: Synced,
}

/// Whether each write seems to be synced to disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synced {
    /// Writes take as long as a sync does.
    Likely {
        /// The time per write.
        cost: Duration,
    },
    /// Writes take less time than a sync does.
    No {
        /// The time per write.
        cost: Duration,
    },
    /// The measurement is not conclusive.
    Unclear {
        /// The time per write.
        cost: Duration,
    },
    /// Not measured: the speed of a stream with several replicas, or in memory, does not depend on syncs.
    Unknown,
}

impl NatsBackend {
    /// Reads and measures how durable an acknowledged write is. It writes some small values, so it is not for a hot path.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn durability(&self) -> BoxFuture<'_, Result<Durability, BackendError>> {
        // Boxed, so that it is compiled in this crate and not wherever it is awaited.
        Box::pin(self.ask_durability())
    }

    async fn ask_durability(&self) -> Result<Durability, BackendError> {
        let info = api::stream_info(&self.connection, &self.streams.runs).await;
        let config = info.map_err(|failure| failure.cannot("read how snapshots are stored"))?.config;
        let on_disk = config.storage == async_nats::jetstream::stream::StorageType::File;
        let synced = if config.num_replicas == 1 && on_disk {
            classify(self.measure().await?)
        } else {
            Synced::Unknown
        };
        Ok(Durability { replicas: config.num_replicas, on_disk, synced })
    }

    /// The time per write of many. The values go to the bucket of hosts and are removed.
    async fn measure(&self) -> Result<Duration, BackendError> {
        let subject = self.names.probe();
        let failed = |failure: Failure| failure.cannot("measure writes");
        let written = self.connection.subject_of_write(subject.as_str().into());
        let write = || self.connection.jetstream.publish(written.clone(), "probe".into());
        // The first write of a stream is slower, since it opens files.
        let first = write().await.map_err(Failure::from).map_err(failed)?;
        first.await.map_err(Failure::from).map_err(failed)?;
        let start = Instant::now();
        let mut acks = Vec::with_capacity(WRITES);
        for _ in 0..WRITES {
            acks.push(write().await.map_err(Failure::from).map_err(failed)?);
        }
        for ack in acks {
            ack.await.map_err(Failure::from).map_err(failed)?;
        }
        let cost = start.elapsed().checked_div(WRITES as u32);
        let purged = api::purge(&self.connection, &self.streams.hosts, subject).await;
        purged.map_err(failed)?;
        cost.ok_or_else(|| BackendError::new(BackendErrorKind::Unavailable, "cannot measure writes"))
    }
}

fn classify(cost: Duration) -> Synced {
    if cost < SURELY_NOT_SYNCED {
        Synced::No { cost }
    } else if cost > LIKELY_SYNCED {
        Synced::Likely { cost }
    } else {
        Synced::Unclear { cost }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.replicas, self.on_disk) {
            (1, true) => f.write_str("one server, on disk")?,
            (1, false) => f.write_str("one server, in memory: all data is lost when it stops")?,
            (replicas, true) => write!(f, "{replicas} servers, on disk")?,
            (replicas, false) => write!(f, "{replicas} servers, in memory: all data is lost when they stop")?,
        }
        write!(f, "; {}", self.synced)
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Likely { cost } => write!(
                f,
                "writes take {} each, as if each was synced (sync_interval: always); only the server's own \
                 configuration can prove it",
                Rounded(*cost)
            ),
            Self::No { cost } => write!(
                f,
                "writes take {} each, so they are not synced before they are acknowledged: a power failure may \
                 lose acknowledged writes; to prevent this, set sync_interval: always",
                Rounded(*cost)
            ),
            Self::Unclear { cost } => {
                write!(f, "writes take {} each, which does not show whether they are synced", Rounded(*cost))
            }
            Self::Unknown => f.write_str("a client cannot measure whether writes are synced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_not_overstated() {
        let micros = Duration::from_micros;
        assert_eq!(classify(micros(10)), Synced::No { cost: micros(10) });
        assert_eq!(classify(micros(50)), Synced::Unclear { cost: micros(50) });
        assert_eq!(classify(micros(190)), Synced::Likely { cost: micros(190) });
        let words = Durability { replicas: 1, on_disk: true, synced: classify(micros(190)) }.to_string();
        assert!(
            words.starts_with("one server, on disk; ")
                && words.contains("only the server's own configuration")
        );
        let words = Durability { replicas: 3, on_disk: true, synced: Synced::Unknown }.to_string();
        assert_eq!(words, "3 servers, on disk; a client cannot measure whether writes are synced");
    }
}
