//! Heartbeats of a node: the last detail is kept for the next attempt.
//!
//! The limit on the time between two of them is kept by the attempt itself, so a server that does not answer fails no step.

use super::session::{PendingAttempt, TicketSession};
use crate::backend::BeatKey;
use bytes::Bytes;
use jetway_core::step::Heartbeats;
use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// A heartbeat is written so often at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How long an attempt waits for the last detail of the one before, and for its own to be written. A hint is not worth more.
const WAIT: Duration = Duration::from_secs(5);

/// The heartbeats of an attempt, and how far they are written.
pub(super) struct KeptBeats<'a> {
    heartbeats: &'a Heartbeats,
    next: &'a PendingAttempt,
    written: AtomicU64,
}

impl<'a> KeptBeats<'a> {
    pub(super) fn new(heartbeats: &'a Heartbeats, next: &'a PendingAttempt) -> Self {
        Self { heartbeats, next, written: AtomicU64::new(0) }
    }
}

impl TicketSession<'_> {
    fn beat_key(&self, next: &PendingAttempt) -> BeatKey {
        let (run, incarnation) = (self.run.clone(), next.cached.snapshot.incarnation);
        BeatKey { run, incarnation, item: next.item.clone() }
    }

    /// The last detail of the attempts before this one. A first attempt asks nobody.
    pub(super) async fn last_beat(&self, next: &PendingAttempt) -> Option<Bytes> {
        let snapshot = &next.cached.snapshot;
        if !snapshot.failures.contains_key(&next.item) && !snapshot.attempts.contains_key(&next.item) {
            return None;
        }
        let key = self.beat_key(next);
        match Box::pin(timeout(WAIT, self.worker.backend.last_beat(&key))).await {
            Ok(Ok(detail)) => detail,
            Ok(Err(error)) => {
                tracing::debug!(run = %self.run, item = %next.item, %error, "cannot read the last heartbeat");
                None
            }
            Err(_elapsed) => None,
        }
    }

    /// Writes the heartbeats of an attempt, as long as it is polled.
    pub(super) async fn keep_beats(&self, beats: &KeptBeats<'_>) -> Infallible {
        loop {
            let beat = beats.heartbeats.next_after(beats.written.load(Relaxed)).await;
            let again_at = Instant::now() + WRITE_EVERY;
            // Boxed, since most nodes never say anything.
            Box::pin(self.write_beat(beats, beat.number, beat.detail)).await;
            sleep_until(again_at).await;
        }
    }

    /// Writes the last heartbeat of an attempt that another one may follow.
    pub(super) async fn keep_last_beat(&self, beats: &KeptBeats<'_>) {
        let written = beats.written.load(Relaxed);
        if let Some(beat) = beats.heartbeats.latest().filter(|beat| beat.number > written) {
            Box::pin(self.write_beat(beats, beat.number, beat.detail)).await;
        }
    }

    async fn write_beat(&self, beats: &KeptBeats<'_>, number: u64, detail: Bytes) {
        let key = self.beat_key(beats.next);
        match timeout(WAIT, self.worker.backend.keep_beat(&key, detail)).await {
            Ok(Ok(())) => beats.written.store(number, Relaxed),
            Ok(Err(error)) => {
                tracing::debug!(run = %self.run, item = %key.item, %error, "cannot store a heartbeat");
            }
            Err(_elapsed) => tracing::debug!(run = %self.run, "a heartbeat is not stored in time"),
        }
    }
}
