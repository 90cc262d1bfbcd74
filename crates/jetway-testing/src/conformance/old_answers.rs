//! A store that answers as late as it may: with the oldest record that its reader has not seen replaced.

use super::{
    BackendUnderTest, TestHost,
    workflows::{FanInput, FanOutput, Probe},
};
use crate::interceptor::{Intercepted, Interceptor};
use async_trait::async_trait;
use jetway_engine::backend::{Backend, BackendError, BackendErrorKind, SnapshotWrite, Stored};
use jetway_state::{RunKey, Seen};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A server that was cut off answers one read in this number, and says that it is behind.
const BEHIND: usize = 5;

/// Answers with old records, as a server does that does not know yet that another one leads.
#[derive(Debug)]
struct OldAnswers {
    inner: Arc<dyn Backend>,
    written: Mutex<HashMap<RunKey, Vec<Stored>>>,
    reads: AtomicUsize,
}

impl OldAnswers {
    fn oldest(&self, run: &RunKey, seen: Seen) -> Option<Stored> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(run)?.iter().find(|stored| seen.is_met_by(stored.revision)).cloned()
    }
}

#[async_trait]
impl Interceptor for OldAnswers {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn load(&self, run: &RunKey, seen: Seen) -> Result<Option<Stored>, BackendError> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        if seen != Seen::default() && read.is_multiple_of(BEHIND) {
            return Err(BackendError::new(BackendErrorKind::Behind, "by order of the test"));
        }
        match self.oldest(run, seen) {
            Some(stored) => Ok(Some(stored)),
            None => self.inner.load(run, seen).await,
        }
    }

    async fn commit(&self, write: SnapshotWrite) -> Result<u64, BackendError> {
        let (run, bytes) = (write.run.clone(), write.bytes.clone());
        let revision = self.inner.commit(write).await?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written.entry(run.clone()).or_default();
        written.push(Stored { run, bytes, revision });
        written.sort_by_key(|stored| stored.revision);
        Ok(revision)
    }
}

/// Two engines share the work, so that each meets records of the other. Nobody sweeps: a ticket that is settled by an old
/// answer would stop its run.
pub(super) async fn h4_an_answer_that_is_too_old_settles_no_ticket(original: BackendUnderTest) {
    let inner = Arc::clone(&original.backend);
    let old = OldAnswers { inner, written: Mutex::default(), reads: AtomicUsize::new(0) };
    let tested = BackendUnderTest::new(Arc::new(Intercepted(old)));
    let (first, second) = (Probe::open(), Probe::open());
    let here = TestHost::at_work(&tested, &first).await;
    let mut there = TestHost::idle(&tested, &second);
    there.work(8).await;
    let mut chains = Vec::new();
    for number in 0..20 {
        chains.push(here.start("chain3", &format!("r{number}"), &number).await);
    }
    let fan = here.start("fan", "r", &FanInput { branches: 30, ..FanInput::default() }).await;
    let family = here.start("family", "r", &vec![1_u64, 2, 3]).await;
    for (number, run) in chains.iter().enumerate() {
        assert_eq!(here.output::<u64>(run).await, number as u64 + 3);
    }
    assert_eq!(here.output::<FanOutput>(&fan).await.positions, (0..30).collect::<Vec<_>>());
    assert_eq!(here.output::<Vec<u64>>(&family).await, [2, 3, 4]);
    drop(original);
}
