//! What is known of a stream, learned again with every answer that tells it.
//!
//! An operator may change the number of replicas while hosts are connected, and a deleted stream may be made again. So
//! nothing of this is fixed when the connection is made.

use super::api::StreamInfo;
use jetway_state::{StoreId, Timestamp};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What is known of a stream.
#[derive(Debug, Default)]
pub(crate) struct StreamFacts {
    /// 0 if this user may not ask for it.
    replicas: AtomicUsize,
    /// How many replicas an operator wants; 0 if that is not known.
    wanted: AtomicUsize,
    /// When the stream was made, in milliseconds since 1970; 0 if it is not known.
    created: AtomicU64,
    /// The highest sequence that was seen in any answer.
    highest: AtomicU64,
}

impl StreamFacts {
    /// Learns from an answer of the leader.
    pub(crate) fn learn(&self, info: &StreamInfo) {
        let created = Timestamp::parse(&info.created).map_or(0, |created| created.0);
        if self.created.swap(created, Relaxed) != created {
            // Another stream: its sequences start again.
            self.highest.store(0, Relaxed);
        }
        self.replicas.store(info.config.num_replicas, Relaxed);
        self.reached(info.state.last_seq);
    }

    /// A message with this sequence was written.
    pub(crate) fn reached(&self, sequence: u64) {
        self.highest.fetch_max(sequence, Relaxed);
    }

    /// The highest sequence that was seen.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Relaxed)
    }

    /// Identifies the stream, if this user may ask for it.
    pub(crate) fn store(&self) -> StoreId {
        StoreId(self.created.load(Relaxed))
    }

    /// How many replicas the namespace has, or is about to have. 0 if this user may not ask for it.
    pub(crate) fn wanted_replicas(&self) -> usize {
        self.wanted.load(Relaxed).max(self.replicas.load(Relaxed))
    }

    /// Whether this user may ask for the state of the stream.
    pub(crate) fn is_inspected(&self) -> bool {
        self.replicas.load(Relaxed) > 0
    }

    /// The stream is about to have another number of replicas.
    pub(crate) fn prepare_for(&self, replicas: usize) {
        self.wanted.store(replicas, Relaxed);
    }

    /// How many replicas the stream is prepared for; `None` if that is not known.
    pub(crate) fn prepared_for(&self) -> Option<usize> {
        Some(self.wanted.load(Relaxed)).filter(|wanted| *wanted > 0)
    }

    /// Whether the stream has one replica, which is then the leader, and is not about to have more.
    pub(crate) fn one_replica(&self) -> bool {
        self.replicas.load(Relaxed) == 1 && self.wanted.load(Relaxed) <= 1
    }
}
