//! Reads the signals of a pull.

use super::{StoredMessage, decode};
use crate::{
    backend::NatsBackend,
    dead_letters::{DeadLetters, dead_letter_of},
    names::Names,
    pull::{DeliveryInfo, LeasedMessage, Pull},
    session::{Connection, Failure, StreamFacts, api},
};
use jetway_engine::backend::{BackendError, DeadLetter, Lease as _, SignalDelivery};
use jetway_state::WorkflowName;
use std::sync::Arc;

/// The reason of a dead letter that holds a message that is no signal.
const BAD_SIGNAL: &str = "bad-signal";

/// Decodes the signals of a pull.
pub(super) struct SignalReader {
    pull: Pull,
    workflow: String,
    names: Names,
    connection: Arc<Connection>,
    stream: String,
    facts: Arc<StreamFacts>,
    dead_letters: DeadLetters,
    /// How often the pull had begun anew when the store was learned.
    restarts: u64,
    /// The highest sequence that was delivered for the first time.
    highest: u64,
}

impl SignalReader {
    pub(super) fn new(backend: &NatsBackend, pull: Pull, workflow: &WorkflowName) -> Self {
        Self {
            restarts: pull.restarts(),
            pull,
            workflow: workflow.to_string(),
            names: backend.names.clone(),
            connection: Arc::clone(&backend.connection),
            stream: backend.streams.signals.clone(),
            facts: Arc::clone(&backend.signal_facts),
            dead_letters: backend.dead_letters.clone(),
            highest: 0,
        }
    }

    pub(super) async fn next(&mut self) -> Option<Result<SignalDelivery, BackendError>> {
        loop {
            let leased = match self.pull.next().await? {
                Ok(leased) => leased,
                Err(error) => return Some(Err(error)),
            };
            if let Err(failure) = self.learn_store(leased.delivery).await {
                // Its sequence says nothing without its store.
                let returned = leased.lease.nak_later(leased.lease.duration() / 10).await;
                let error = failure.cannot(format!("read when stream {} was made", self.stream));
                return Some(Err(returned.err().unwrap_or(error)));
            }
            match self.delivery_of(leased).await {
                Ok(Some(delivery)) => return Some(Ok(delivery)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Learns again when the stream was made, if it may have been made again: its sequences start again.
    async fn learn_store(&mut self, delivery: DeliveryInfo) -> Result<(), Failure> {
        let DeliveryInfo { delivered, sequence, .. } = delivery;
        let restarts = self.pull.restarts();
        let is_doubtful = restarts != self.restarts || (delivered == 1 && sequence <= self.highest);
        if is_doubtful && self.facts.is_inspected() {
            self.facts.learn(&api::stream_info(&self.connection, &self.stream).await?);
            self.highest = 0;
        }
        self.restarts = restarts;
        if delivered == 1 {
            self.highest = sequence;
        }
        Ok(())
    }

    /// The signal of a message. `None` if it is no signal, and is a dead letter now.
    async fn delivery_of(&self, leased: LeasedMessage) -> Result<Option<SignalDelivery>, BackendError> {
        jetway_state::hop!("SignalReader::delivery_of");
        let LeasedMessage { message, delivery, lease, slot } = leased;
        let DeliveryInfo { delivered, sequence, published } = delivery;
        let original = dead_letter_of(&message, &self.workflow, format!("signal-{sequence}-{published}"));
        let stored = StoredMessage::delivered(&message, sequence, published);
        match decode(&self.names, &stored, self.facts.store()) {
            Ok(signal) => Ok(Some(SignalDelivery { signal, delivered, lease, slot, original })),
            Err(error) => {
                let (why, reason) = (BAD_SIGNAL.to_owned(), error.to_string());
                self.dead_letters.store(DeadLetter { why, reason, ..original }).await?;
                lease.ack().await?;
                Ok(None)
            }
        }
    }
}
