//! Heartbeats: a node that runs for long says that it is alive, and how far it is.

use bytes::Bytes;
use jetway_state::{Error, Rounded, json};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The largest detail of a heartbeat, in bytes of JSON.
pub const MAX_HEARTBEAT: usize = 64 * 1024;

/// The heartbeats of one attempt, and the last one of the attempts before it.
#[derive(Debug, Default)]
pub struct Heartbeats {
    latest: Mutex<Option<Beat>>,
    changed: Notify,
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

impl Heartbeats {
    /// Those of an attempt, after an earlier attempt whose last detail was this.
    pub fn after(before: Option<Bytes>) -> Self {
        Self { before, ..Self::default() }
    }

    /// The latest heartbeat of this attempt.
    pub fn latest(&self) -> Option<Beat> {
        // A panic cannot leave half a heartbeat.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a heartbeat after this number. Of several, it is the latest.
    pub async fn next_after(&self, number: u64) -> Beat {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(beat) = self.latest().filter(|beat| beat.number > number) {
                return beat;
            }
            changed.await;
        }
    }

    pub(super) fn beat(&self, detail: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let detail = json::write(detail, &"the detail of a heartbeat")?;
        if detail.len() > MAX_HEARTBEAT {
            let bytes = detail.len();
            return Err(Error::Limit(format!(
                "the detail of a heartbeat is {bytes} bytes; the limit is {MAX_HEARTBEAT}"
            )));
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let number = latest.as_ref().map_or(0, |beat| beat.number).saturating_add(1);
        *latest = Some(Beat { number, detail: detail.into() });
        drop(latest);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The last detail of the attempts before this one.
    pub(super) fn last_before<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let read = |detail| json::read(detail, &"the detail of the last heartbeat");
        self.before.as_deref().map(read).transpose()
    }

    /// Waits until there was no heartbeat for this time. The first one counts from now.
    pub(super) async fn silent_for(&self, limit: Duration) {
        let mut number = 0;
        loop {
            match timeout(limit, self.next_after(number)).await {
                Ok(beat) => number = beat.number,
                Err(_elapsed) => {
                    tracing::debug!(limit = %Rounded(limit), "no heartbeat of a node");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_beats_is_not_silent() {
        let (beats, limit) = (Heartbeats::default(), Duration::from_secs(10));
        let started = tokio::time::Instant::now();
        let beating = async {
            for beat in 1..=3 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                beats.beat(&beat).unwrap();
            }
        };
        tokio::join!(beats.silent_for(limit), beating);
        assert_eq!(started.elapsed(), Duration::from_secs(3 * 8 + 10));
        assert_eq!(beats.next_after(0).await, Beat { number: 3, detail: "3".into() });
    }

    #[test]
    fn details_are_small_and_are_read_again() {
        let beats = Heartbeats::default();
        let refused = beats.beat(&"x".repeat(MAX_HEARTBEAT)).unwrap_err();
        assert!(matches!(refused, Error::Limit(_)) && beats.latest().is_none(), "{refused}");
        assert_eq!(beats.last_before::<u32>(), Ok(None));
        let next = Heartbeats::after(Some("[7,\"page\"]".into()));
        assert_eq!(next.last_before(), Ok(Some((7, "page".to_owned()))));
        assert!(next.last_before::<bool>().is_err());
    }
}
