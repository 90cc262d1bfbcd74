//! Heartbeats: a node that runs for long says that it is alive, and how far it is.

use bytes::Bytes;
use jetway_state::{Error, Rounded, json};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// The largest detail of a heartbeat, in bytes of JSON.
pub const MAX_HEARTBEAT: usize = 64 * 1024;

/// The heartbeats of one attempt, and the last one of the attempts before it.
#[derive(Debug)]
pub struct Heartbeats {
    latest: watch::Sender<Option<Beat>>,
    before: Option<Bytes>,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its number within the attempt, from 1.
    pub number: u64,
    /// The detail, as JSON.
    pub detail: Bytes,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::after(None)
    }
}

impl Heartbeats {
    /// Those of an attempt, after an earlier attempt whose last detail was this.
    pub fn after(before: Option<Bytes>) -> Self {
        Self { latest: watch::Sender::new(None), before }
    }

    /// Receives the heartbeats: the latest one, if they come faster than they are received.
    pub fn subscribe(&self) -> watch::Receiver<Option<Beat>> {
        self.latest.subscribe()
    }

    /// The latest heartbeat of this attempt.
    pub fn latest(&self) -> Option<Beat> {
        self.latest.borrow().clone()
    }

    pub(super) fn beat(&self, detail: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let detail = json::write(detail, &"the detail of a heartbeat")?;
        if detail.len() > MAX_HEARTBEAT {
            let bytes = detail.len();
            return Err(Error::Limit(format!(
                "the detail of a heartbeat is {bytes} bytes; the limit is {MAX_HEARTBEAT}"
            )));
        }
        self.latest.send_modify(|latest| {
            let number = latest.as_ref().map_or(0, |beat| beat.number).saturating_add(1);
            *latest = Some(Beat { number, detail: detail.into() });
        });
        Ok(())
    }

    /// The last detail of the attempts before this one.
    pub(super) fn last_before<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let read = |detail| json::read(detail, &"the detail of the last heartbeat");
        self.before.as_deref().map(read).transpose()
    }

    /// Waits until there was no heartbeat for this time. The first one counts from now.
    pub(super) async fn silent_for(&self, limit: Duration) {
        let mut beats = self.latest.subscribe();
        loop {
            let Some(until) = Instant::now().checked_add(limit) else {
                return std::future::pending().await;
            };
            match timeout_at(until, beats.changed()).await {
                Ok(Ok(())) => {}
                // This holds the sender.
                Ok(Err(_closed)) => return std::future::pending().await,
                Err(_elapsed) => {
                    tracing::debug!(limit = %Rounded(limit), "no heartbeat of a node");
                    return;
                }
            }
        }
    }
}
