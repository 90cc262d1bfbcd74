//! The stores for runs without hosts.

mod checkpoints;
mod contexts;
mod leases;
mod queue;
mod runs;
mod views;

use crate::support::config;
use jetway_core::{
    WorkItem,
    distributed::{Leased, WorkQueue},
};
use jetway_nats::{NatsConfig, NatsStores, NatsWorkQueue};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A work item without a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    id: String,
    text: String,
}

impl Job {
    fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), text: String::new() }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl WorkItem for Job {
    fn instance_id(&self) -> String {
        self.id.clone()
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

type Queue = NatsWorkQueue<Job>;
type Answer<T> = Result<T, jetway_core::distributed::WorkQueueError>;

/// Short enough for a test that waits until a lease runs out.
async fn short_leases(label: &str) -> NatsConfig {
    NatsConfig { ack_wait: Duration::from_secs(1), ..config(label).await }
}

async fn connect(config: &NatsConfig) -> NatsStores {
    NatsStores::connect(config.clone(), "pay").await.unwrap()
}

async fn stores(label: &str) -> NatsStores {
    connect(&config(label).await).await
}

// The queue implements the trait for every context type, so each call has to name one.

async fn enqueue(queue: &Queue, run_id: &str, job: Job) -> Answer<()> {
    WorkQueue::<(), Job>::enqueue(queue, run_id, job).await
}

async fn lease(queue: &Queue) -> Answer<Option<Leased<Job>>> {
    WorkQueue::<(), Job>::lease(queue).await
}

async fn settle(queue: &Queue, leased: &Leased<Job>) -> Answer<()> {
    WorkQueue::<(), Job>::ack(queue, leased).await
}

async fn pending(queue: &Queue, run_id: &str) -> Answer<Vec<Job>> {
    WorkQueue::<(), Job>::pending_work(queue, run_id).await
}

/// The id of the next item.
async fn next(queue: &Queue) -> Option<String> {
    lease(queue).await.unwrap().map(|leased| leased.item.id)
}
