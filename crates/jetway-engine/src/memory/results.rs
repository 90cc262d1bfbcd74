//! Results and dead letters in memory.

use super::{MemoryBackend, locked};
use crate::backend::{self, BackendError, DeadLetter, RunResult};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{Incarnation, RunKey, run::WantedResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Results {
    done: Mutex<BTreeMap<RunKey, RunResult>>,
    letters: Mutex<Vec<DeadLetter>>,
    changed: Notify,
}

impl Results {
    /// The runs that have a result, with their incarnations.
    pub(super) fn runs(&self) -> BTreeSet<(RunKey, Incarnation)> {
        locked(&self.done).values().map(|result| (result.run.clone(), result.incarnation)).collect()
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
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        let record = self.incarnation_of(&result.run);
        locked(&self.results.done)
            .entry(result.run.clone())
            .and_modify(|stored| {
                if result.version().replaces(Some(stored.version()), record) {
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
        mut wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let stored = locked(&self.results.done).get(run).map(|result| result.incarnation);
        if let Some(stored) = stored {
            wanted = wanted.given(stored, self.incarnation_of(run));
        }
        let found = || {
            let results = locked(&self.results.done);
            let record = self.incarnation_of(run);
            let result = results
                .get(run)
                .filter(|result| wanted.given(result.incarnation, record).accepts(Some(result.incarnation)));
            result.map(|result| result.json.clone())
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
