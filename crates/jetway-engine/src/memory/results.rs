//! Results and dead letters in memory.

use super::{MemoryBackend, locked};
use crate::backend::{self, BackendError, DeadLetter, RunResult};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_state::{Incarnation, RunKey, StartId, run::WantedResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Results {
    done: Mutex<BTreeMap<RunKey, RunResult>>,
    /// The refusals of start messages, for their senders.
    refusals: Mutex<BTreeMap<(RunKey, StartId), RunResult>>,
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

    /// The wanted result, if it is there.
    fn found(&self, run: &RunKey, mut wanted: WantedResult) -> Option<Bytes> {
        // The refusal of another start is no answer to this one.
        let is_new = wanted.unsettled_start().is_some();
        if let Some(start) = wanted.unsettled_start() {
            let unsettled = self.is_unsettled(&run.workflow, start);
            // A refusal is published before the message is settled.
            if let Some(refusal) = locked(&self.results.refusals).get(&(run.clone(), start.start_id)) {
                return Some(refusal.json.clone());
            }
            if unsettled {
                return None;
            }
            wanted = wanted.settled();
        }
        let results = locked(&self.results.done);
        let record = self.incarnation_of(run);
        let result = results
            .get(run)
            .filter(|result| !is_new || result.incarnation.refused_start().is_none())
            .filter(|result| wanted.given(result.incarnation, record).accepts(Some(result.incarnation)));
        result.map(|result| result.json.clone())
    }
}

#[async_trait]
impl backend::Results for MemoryBackend {
    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        let record = self.incarnation_of(&result.run);
        if let Some(start) = result.incarnation.refused_start() {
            locked(&self.results.refusals)
                .entry((result.run.clone(), start))
                .or_insert_with(|| result.clone());
        }
        if result.is_published_for_run(record) {
            locked(&self.results.done)
                .entry(result.run.clone())
                .and_modify(|stored| {
                    if result.version().replaces(Some(stored.version()), record) {
                        stored.clone_from(&result);
                    }
                })
                .or_insert_with(|| result.clone());
        }
        self.results.changed.notify_waiters();
        Ok(())
    }

    async fn done(
        &self,
        run: &RunKey,
        wanted: WantedResult,
        wait: Duration,
    ) -> Result<Option<Bytes>, BackendError> {
        let stored = locked(&self.results.done).get(run).map(|result| result.incarnation);
        let wanted = match (wanted, stored) {
            (WantedResult::Latest, Some(stored)) => wanted.given(stored, self.incarnation_of(run)),
            _ => wanted,
        };
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let (changed, settled) = (self.results.changed.notified(), self.starts.changed());
            tokio::pin!(changed, settled);
            changed.as_mut().enable();
            settled.as_mut().enable();
            if let Some(result) = self.found(run, wanted) {
                return Ok(Some(result));
            }
            tokio::select! {
                () = changed => {}
                () = settled => {}
                () = tokio::time::sleep_until(deadline) => return Ok(self.found(run, wanted)),
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
