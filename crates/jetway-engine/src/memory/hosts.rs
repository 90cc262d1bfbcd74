//! Hosts in memory.

use super::{MemoryBackend, locked};
use crate::backend::{self, BackendError, HostInfo};
use async_trait::async_trait;
use jetway_core::clock::Clock;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

#[derive(Default)]
pub(super) struct Hosts {
    alive: BTreeMap<String, HostInfo>,
    /// The workflows whose starts a host has ever received.
    pub(super) served: BTreeSet<String>,
}

#[async_trait]
impl backend::Hosts for MemoryBackend {
    async fn announce(&self, host: &HostInfo) -> Result<(), BackendError> {
        locked(&self.hosts).alive.insert(host.host.clone(), host.clone());
        Ok(())
    }

    async fn leave(&self, host: &str) -> Result<(), BackendError> {
        locked(&self.hosts).alive.remove(host);
        Ok(())
    }

    async fn hosts(&self) -> Result<Vec<HostInfo>, BackendError> {
        Ok(locked(&self.hosts).alive.values().cloned().collect())
    }

    fn announce_every(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}
