//! What is known about how safe an acknowledged write is.
//!
//! A client cannot see the server's `sync_interval`. It can see how long writes take: where every write is synced,
//! writes that are sent together still cost a sync each. The figure is a measurement, never a proof; so are the words.

use crate::{backend::NatsBackend, error::Failure, jsapi, names::Stream};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::{fmt, time::Duration};
use tokio::time::Instant;

/// How many writes are measured.
const WRITES: usize = 96;
/// A single write that costs less than this did not wait for a disk that a power cut cannot fool.
const SURELY_NOT_SYNCED: Duration = Duration::from_micros(30);
/// A single write of many that costs more than this waited for something.
const LIKELY_SYNCED: Duration = Duration::from_micros(80);

/// How safe an acknowledged write is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// On how many servers each snapshot is stored.
    pub replicas: usize,
    /// Whether snapshots are kept in files; else in memory.
    pub on_disk: bool,
    /// Whether each write seems to be synced to disk before it is acknowledged.
    pub synced: Synced,
}

/// Whether each write seems to be synced to disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synced {
    /// Writes cost as much as a sync does.
    Likely {
        /// What one write of many cost.
        cost: Duration,
    },
    /// Writes cost less than a sync does.
    No {
        /// What one write of many cost.
        cost: Duration,
    },
    /// The measurement does not tell.
    Unclear {
        /// What one write of many cost.
        cost: Duration,
    },
    /// Nothing was measured: a stream of several replicas, or in memory, says nothing by its speed.
    Unknown,
}

impl NatsBackend {
    /// What is known about how safe an acknowledged write is. Writes some small values to measure it: for `doctor`, not
    /// for a hot path.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn durability(&self) -> Result<Durability, BackendError> {
        let info = jsapi::stream_info(&self.link, &self.streams.runs).await;
        let config = info.map_err(|failure| failure.cannot("ask how snapshots are stored"))?.config;
        let on_disk = config.storage == async_nats::jetstream::stream::StorageType::File;
        let synced =
            if config.num_replicas == 1 && on_disk { judge(self.measure().await?) } else { Synced::Unknown };
        Ok(Durability { replicas: config.num_replicas, on_disk, synced })
    }

    /// What one write of many costs. The values go to the bucket of hosts, where they expire.
    async fn measure(&self) -> Result<Duration, BackendError> {
        let subject = self.names.probe();
        let failed = |failure: Failure| failure.cannot("measure writes");
        let write = || self.link.jetstream.publish(subject.clone(), "probe".into());
        // The first write of a stream opens files.
        let first = write().await.map_err(Failure::from).map_err(failed)?;
        first.await.map_err(Failure::from).map_err(failed)?;
        let began = Instant::now();
        let mut answers = Vec::with_capacity(WRITES);
        for _ in 0..WRITES {
            answers.push(write().await.map_err(Failure::from).map_err(failed)?);
        }
        for answer in answers {
            answer.await.map_err(Failure::from).map_err(failed)?;
        }
        let cost = began.elapsed().checked_div(WRITES as u32);
        let purged = jsapi::purge(&self.link, &self.names.stream(Stream::Hosts), subject).await;
        purged.map_err(failed)?;
        cost.ok_or_else(|| BackendError::new(BackendErrorKind::Unavailable, "cannot measure writes"))
    }
}

fn judge(cost: Duration) -> Synced {
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
            (1, false) => f.write_str("one server, in memory: nothing survives its end")?,
            (replicas, true) => write!(f, "{replicas} servers, on disk")?,
            (replicas, false) => write!(f, "{replicas} servers, in memory: nothing survives the end of all")?,
        }
        write!(f, "; {}", self.synced)
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Likely { cost } => write!(
                f,
                "writes take {cost:?} each, as if every one was synced (sync_interval: always); only the server's own \
                 configuration can prove it"
            ),
            Self::No { cost } => write!(
                f,
                "writes take {cost:?} each, so they are not synced before they are acknowledged: a power cut can take \
                 back what was acknowledged; set sync_interval: always"
            ),
            Self::Unclear { cost } => {
                write!(f, "writes take {cost:?} each, which does not tell whether they are synced")
            }
            Self::Unknown => f.write_str("whether writes are synced cannot be seen from here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overstated() {
        let micros = Duration::from_micros;
        assert_eq!(judge(micros(10)), Synced::No { cost: micros(10) });
        assert_eq!(judge(micros(50)), Synced::Unclear { cost: micros(50) });
        assert_eq!(judge(micros(190)), Synced::Likely { cost: micros(190) });
        let words = Durability { replicas: 1, on_disk: true, synced: judge(micros(190)) }.to_string();
        assert!(
            words.starts_with("one server, on disk; ")
                && words.contains("only the server's own configuration")
        );
        let words = Durability { replicas: 3, on_disk: true, synced: Synced::Unknown }.to_string();
        assert_eq!(words, "3 servers, on disk; whether writes are synced cannot be seen from here");
    }
}
