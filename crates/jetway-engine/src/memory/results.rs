//! Results and dead letters in memory.

use super::{MemoryBackend, locked};
use crate::backend::{self, BackendError, DeadLetter};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{RunKey, Timestamp, view::DoneView};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Results {
    done: Mutex<BTreeMap<RunKey, Bytes>>,
    letters: Mutex<Vec<DeadLetter>>,
    changed: Notify,
}

impl Results {
    /// The runs that have a result.
    pub(super) fn runs(&self) -> BTreeSet<RunKey> {
        locked(&self.done).keys().cloned().collect()
    }
}

impl MemoryBackend {
    /// The dead letters, in the order of their arrival.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        locked(&self.results.letters).clone()
    }
}

#[async_trait]
impl backend::Results for MemoryBackend {
    async fn publish_done(&self, run: &RunKey, result: Bytes) -> Result<(), BackendError> {
        locked(&self.results.done)
            .entry(run.clone())
            .and_modify(|stored| {
                if DoneView::supersedes(&result, stored) {
                    stored.clone_from(&result);
                }
            })
            .or_insert_with(|| result.clone());
        self.results.changed.notify_waiters();
        Ok(())
    }

    async fn done(
        &self,
        run: &RunKey,
        since: Timestamp,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let found = || {
            let result = locked(&self.results.done).get(run).cloned();
            result.filter(|result| DoneView::is_since(result, since))
        };
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let changed = self.results.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = found() {
                return Ok(Some(result));
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(found());
            }
        }
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        let mut letters = locked(&self.results.letters);
        if letter.id.is_empty()
            || !letters.iter().any(|other| other.id == letter.id && other.why == letter.why)
        {
            letters.push(letter);
        }
        Ok(())
    }
}
