//! A holder of a ticket whose ack arrives late. Meanwhile the store refuses another ticket of the same item.

use super::{DEADLINE, TestHost};
use crate::wait_until;
use async_trait::async_trait;
use jetway_engine::{
    TicketOutcome,
    backend::{BackendError, Delivery, Lease},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct LateAck {
    lease: Arc<dyn Lease>,
    arrived: Arc<AtomicBool>,
    gate: Arc<Semaphore>,
    /// It is on its way when the worker goes on.
    is_unconfirmed: bool,
}

#[async_trait]
impl Lease for LateAck {
    async fn extend(&self) -> Result<(), BackendError> {
        self.lease.extend().await
    }

    async fn ack(&self) -> Result<(), BackendError> {
        self.arrived.store(true, Ordering::SeqCst);
        self.gate.acquire().await.expect("it is not closed").forget();
        if self.is_unconfirmed { Ok(()) } else { self.lease.ack().await }
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.lease.nak().await
    }

    fn duration(&self) -> Duration {
        self.lease.duration()
    }
}

/// A ticket that is worked off, but for its ack.
pub(super) struct Unacked {
    holder: JoinHandle<TicketOutcome>,
    gate: Arc<Semaphore>,
    lease: Arc<dyn Lease>,
}

impl Unacked {
    /// Works off a ticket until its ack.
    pub(super) async fn of(host: &TestHost, delivery: Delivery) -> Self {
        Self::with(host, delivery, false).await
    }

    /// Works off a ticket until its ack. When that is sent, its holder goes on before the ack has arrived.
    pub(super) async fn unconfirmed(host: &TestHost, delivery: Delivery) -> Self {
        Self::with(host, delivery, true).await
    }

    async fn with(host: &TestHost, delivery: Delivery, is_unconfirmed: bool) -> Self {
        let original = Arc::clone(&delivery.lease);
        let (arrived, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)));
        let lease = LateAck {
            lease: Arc::clone(&original),
            arrived: Arc::clone(&arrived),
            gate: Arc::clone(&gate),
            is_unconfirmed,
        };
        let (engine, delivery) = (Arc::clone(&host.engine), Delivery { lease: Arc::new(lease), ..delivery });
        let holder =
            tokio::spawn(async move { engine.process_ticket(delivery, CancellationToken::new()).await });
        wait_until("it is about to be acked", DEADLINE, async || arrived.load(Ordering::SeqCst)).await;
        Self { holder, gate, lease: original }
    }

    /// Acks it. Returns its lease, for an ack that arrives later.
    pub(super) async fn ack(self) -> Arc<dyn Lease> {
        self.gate.add_permits(1);
        let outcome = self.holder.await.expect("it does not panic");
        assert!(matches!(outcome, TicketOutcome::Acked { .. }), "{outcome:?}");
        self.lease
    }
}
