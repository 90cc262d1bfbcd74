//! Signals: named messages to runs.

use super::{BackendError, DeadLetter, Lease};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jetway_state::{Incarnation, RunKey, StoreId, Timestamp, WorkflowName, run::SignalPlace};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A signal to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSignal {
    /// The run.
    pub run: RunKey,
    /// The name of the signal.
    pub name: String,
    /// The id that its sender has chosen: two signals of a run with one id are one signal. `None` if each is another one.
    pub id: Option<String>,
    /// The incarnation that it is for; `None` for whichever incarnation has the run id.
    pub incarnation: Option<Incarnation>,
    /// The media type of the payload; `None` for JSON.
    pub content_type: Option<String>,
    /// The payload.
    pub payload: Bytes,
}

impl NewSignal {
    /// The signal as its sender has stored it: in this store, with this number, at this time.
    pub fn stored(&self, store: StoreId, sequence: u64, sent_at: Timestamp) -> StoredSignal {
        let Self { run, name, id, incarnation, content_type, payload } = self.clone();
        let place = SignalPlace::First;
        StoredSignal { run, name, id, incarnation, content_type, payload, sequence, place, store, sent_at }
    }
}

/// A signal as it is stored. The sequences of one store grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSignal {
    /// The run.
    pub run: RunKey,
    /// The name of the signal.
    pub name: String,
    /// What its doubles are found by: the id of its sender. A backend may give an id to a signal whose sender has chosen none, which
    /// begins with [`GIVEN_SIGNAL_ID`](jetway_state::run::GIVEN_SIGNAL_ID).
    pub id: Option<String>,
    /// The incarnation that it is for; `None` for whichever incarnation has the run id.
    pub incarnation: Option<Incarnation>,
    /// The media type of the payload; `None` for JSON.
    pub content_type: Option<String>,
    /// The payload.
    pub payload: Bytes,
    /// Its number in the store.
    pub sequence: u64,
    /// Whether this is where its sender has stored it.
    pub place: SignalPlace,
    /// The store of this sequence.
    pub store: StoreId,
    /// When it was first sent, by the clock of the backend. It stays the same when the signal is put off.
    pub sent_at: Timestamp,
}

impl StoredSignal {
    /// Whether both are one signal that is stored twice.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        fn what(signal: &StoredSignal) -> (&RunKey, &str, Option<&str>, Option<Incarnation>) {
            (&signal.run, &signal.name, signal.id.as_deref(), signal.incarnation)
        }
        self.id.is_some() && what(self) == what(other)
    }

    /// The signal, to be stored once more.
    pub fn to_new(&self) -> NewSignal {
        let Self { run, name, id, incarnation, content_type, payload, .. } = self.clone();
        NewSignal { run, name, id, incarnation, content_type, payload }
    }
}

/// A signal that is held under a lease.
#[derive(Debug)]
pub struct SignalDelivery {
    /// The signal.
    pub signal: StoredSignal,
    /// The number of this delivery, from 1.
    pub delivered: u32,
    /// The lease.
    pub lease: Arc<dyn Lease>,
    /// The slot of the coordinator that it occupies.
    pub slot: OwnedSemaphorePermit,
    /// The original message, for the dead letters.
    pub original: DeadLetter,
}

/// Stores signals and delivers them to coordinators.
///
/// A delivery is a hint: whoever gets one applies all stored signals of the run, in their order, and then acks. An acked signal
/// leaves the store.
#[async_trait]
pub trait Signals: Send + Sync {
    /// Stores a signal. It is durable when this returns.
    ///
    /// # Errors
    /// `NoRoom` if a limit is reached, `Invalid` for a bad name.
    async fn publish_signal(&self, signal: &NewSignal) -> Result<StoredSignal, BackendError>;

    /// Returns the signals of a workflow, at most one for each free slot. The stream owns all slots. A message that is no signal
    /// becomes a dead letter and is not delivered.
    async fn signals(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<SignalDelivery, BackendError>>, BackendError>;

    /// Returns the stored signals of a run behind the sequence `after`, in their order: `most` at most. None is left out that was
    /// stored before one that is returned.
    async fn stored_signals(
        &self,
        run: &RunKey,
        after: u64,
        most: usize,
    ) -> Result<Vec<StoredSignal>, BackendError>;

    /// A dead letter with the message of a signal, which has no reason and no id yet. A backend whose messages have subjects names that
    /// of the signal, so that the dead letter can be put back.
    fn letter_of(&self, signal: &NewSignal) -> DeadLetter {
        let NewSignal { run, name, id, incarnation, content_type, payload } = signal;
        let headers = [
            ("Jetway-Signal-Id", id.clone()),
            ("Jetway-Incarnation", incarnation.map(|incarnation| incarnation.to_string())),
            ("Content-Type", content_type.clone()),
        ];
        DeadLetter {
            workflow: run.workflow.to_string(),
            subject: format!("signal {run} {name}"),
            headers: headers
                .into_iter()
                .filter_map(|(header, value)| Some((header.to_owned(), value?)))
                .collect(),
            payload: payload.clone(),
            ..DeadLetter::default()
        }
    }

    /// Returns the signals of a run that are put off and have an id, `most` at most, in any order. One that comes again meanwhile is here, or
    /// among those that are stored, or in both places.
    async fn put_off_signals(&self, run: &RunKey, most: usize) -> Result<Vec<StoredSignal>, BackendError>;

    /// Removes a signal that is put off: its run has it.
    async fn remove_put_off(&self, signal: &StoredSignal) -> Result<(), BackendError>;

    /// Stores a delivered signal in another place, to be delivered again at `due` with another sequence: its run does not exist yet.
    /// The caller acks the delivered one afterwards. It is durable when this returns. One that is put off already, with the same id, is
    /// not stored twice.
    ///
    /// # Errors
    /// `NoRoom` if a limit is reached.
    async fn put_off(&self, signal: &StoredSignal, due: Timestamp) -> Result<(), BackendError>;
}
