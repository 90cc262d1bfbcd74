//! Signals in memory.

use super::{
    MemoryBackend,
    leases::{Leases, Message},
    locked,
};
use crate::backend::{BackendError, DeadLetter, NewSignal, SignalDelivery, Signals, StoredSignal};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_core::clock::Clock;
use jetway_state::{RunKey, StoreId, Timestamp, WorkflowName, run::SignalPlace};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore};

/// A process has one store of signals, which is never made again.
const STORE: StoreId = StoreId(1);

/// The signals that are stored, and those that wait for their runs to exist.
#[derive(Default)]
pub(super) struct Stored {
    queue: Arc<Leases<StoredSignal>>,
    published: AtomicU64,
    put_off: Mutex<BTreeMap<(Timestamp, u64), StoredSignal>>,
    changed: Notify,
}

impl Message for StoredSignal {
    type Key = ();

    fn key(&self) -> Option<()> {
        None
    }
}

impl Stored {
    fn add(&self, signal: StoredSignal) -> StoredSignal {
        let sequence = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        let signal = StoredSignal { sequence, ..signal };
        self.queue.add(signal.run.workflow.as_str(), signal.clone());
        signal
    }

    /// Stores signals again when their time has come, as long as it is polled.
    async fn store_due(&self, clock: &dyn Clock) -> Infallible {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next = loop {
                let mut put_off = locked(&self.put_off);
                match put_off.first_entry() {
                    None => break None,
                    Some(first) if first.key().0 > clock.now() => break Some(first.key().0),
                    Some(first) => {
                        let signal = first.remove();
                        drop(put_off);
                        self.add(StoredSignal { place: SignalPlace::Again, ..signal });
                    }
                }
            };
            match next {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = clock.sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }
}

#[async_trait]
impl Signals for MemoryBackend {
    async fn publish_signal(&self, signal: &NewSignal) -> Result<StoredSignal, BackendError> {
        Ok(self.signals.add(signal.stored(STORE, 0, self.clock.now())))
    }

    async fn signals(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<SignalDelivery, BackendError>>, BackendError> {
        let (backend, lane) = (self.clone(), workflow.to_string());
        Ok(stream::unfold((), move |()| {
            let (backend, lane, slots) = (backend.clone(), lane.clone(), Arc::clone(&slots));
            async move {
                let MemoryBackend { signals, clock, lease, .. } = &backend;
                let (signal, delivered, lease, slot) = tokio::select! {
                    biased;
                    taken = signals.queue.take(&lane, &slots, *lease) => taken?,
                    never = signals.store_due(&**clock) => match never {},
                };
                let original = letter(&backend, &signal);
                Some((Ok(SignalDelivery { signal, delivered, lease, slot, original }), ()))
            }
        })
        .boxed())
    }

    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError> {
        let mut stored = self.signals.queue.messages(run.workflow.as_str());
        stored.retain(|signal| signal.run == *run && signal.sequence > after);
        stored.sort_by_key(|signal| signal.sequence);
        stored.truncate(most);
        Ok(stored)
    }

    async fn put_off_signals(&self, run: &RunKey, most: usize) -> Result<Vec<StoredSignal>, BackendError> {
        let put_off = locked(&self.signals.put_off);
        let of_run = put_off.values().filter(|signal| signal.run == *run && signal.id.is_some());
        let later = |signal: &StoredSignal| StoredSignal { place: SignalPlace::Later, ..signal.clone() };
        Ok(of_run.take(most).map(later).collect())
    }

    async fn remove_put_off(&self, signal: &StoredSignal) -> Result<(), BackendError> {
        locked(&self.signals.put_off)
            .retain(|_, other| other.run != signal.run || other.sequence != signal.sequence);
        Ok(())
    }

    async fn put_off(&self, signal: &StoredSignal, due: Timestamp) -> Result<(), BackendError> {
        let mut put_off = locked(&self.signals.put_off);
        if put_off.values().any(|other| other.is_copy_of(signal)) {
            return Ok(());
        }
        put_off.insert((due, signal.sequence), signal.clone());
        drop(put_off);
        self.signals.changed.notify_waiters();
        Ok(())
    }
}

fn letter(backend: &MemoryBackend, signal: &StoredSignal) -> DeadLetter {
    let StoredSignal { run, name, id, incarnation, content_type, payload, sequence, .. } = signal.clone();
    let new = NewSignal { run, name, id, incarnation, content_type, payload };
    DeadLetter { id: format!("signal-{sequence}"), ..backend.letter_of(&new) }
}
