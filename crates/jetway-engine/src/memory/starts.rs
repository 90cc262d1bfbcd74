//! Start messages in memory.

use super::{
    MemoryBackend,
    leases::{Leases, Message},
    locked,
};
use crate::{
    backend::{BackendError, DeadLetter, Results as _, StartDelivery, StartRequest, Starts},
    refusal::{RefusedStart, publish_refusal},
};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_state::{StartId, StartMessage, WorkflowName};
use std::{
    iter::once,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

pub(super) type Queue = Leases<PublishedStart>;

/// A start message.
#[derive(Debug, Clone)]
pub(super) struct PublishedStart {
    request: StartRequest,
    message: StartMessage,
    at: Instant,
}

impl Message for PublishedStart {
    type Key = ();

    fn key(&self) -> Option<()> {
        None
    }
}

#[async_trait]
impl Starts for MemoryBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<StartMessage, BackendError> {
        let mut request = request.clone();
        if request.run_id.is_empty() {
            request.run_id = format!("m{}", rand::random::<u64>());
        }
        let lane = request.workflow.clone();
        let sequence = self.published_starts.fetch_add(1, Ordering::Relaxed) + 1;
        let message = StartMessage { sequence, start_id: StartId::from_random(rand::random()) };
        self.starts.add(&lane, PublishedStart { request, message, at: Instant::now() });
        Ok(message)
    }

    async fn starts(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<StartDelivery, BackendError>>, BackendError> {
        locked(&self.hosts).served.insert(workflow.to_string());
        let (queue, lane, duration) = (Arc::clone(&self.starts), workflow.to_string(), self.lease);
        Ok(stream::unfold((), move |()| {
            let (queue, lane, slots) = (Arc::clone(&queue), lane.clone(), Arc::clone(&slots));
            async move {
                let (start, _, lease, slot) = queue.take(&lane, &slots, duration).await?;
                let original = letter(&start);
                let PublishedStart { request, message: StartMessage { start_id, .. }, .. } = start;
                Some((Ok(StartDelivery { request, lease, slot, original, start_id }), ()))
            }
        })
        .boxed())
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        let served = locked(&self.hosts).served.clone();
        let mut moved = 0;
        for lane in self.starts.lanes().into_iter().filter(|lane| !served.contains(lane)) {
            let starts = self.starts.messages(&lane);
            if starts.iter().any(|start| start.at.elapsed() < grace) {
                continue;
            }
            for start in starts {
                let reason = format!("no host serves the workflow {lane:?}");
                let PublishedStart { request, message, .. } = &start;
                let StartRequest { workflow, run_id, .. } = request;
                let (why, start_id) = ("unknown-workflow", message.start_id);
                let refused = RefusedStart { workflow, run_id, start_id, why, reason: reason.clone() };
                publish_refusal(|refusal| self.publish_done(refusal), &*self.clock, refused).await?;
                self.dead_letter(DeadLetter { why: why.to_owned(), reason, ..letter(&start) }).await?;
                self.starts.remove(&lane, |other| other.message == start.message);
                moved += 1;
            }
        }
        Ok(moved)
    }
}

impl MemoryBackend {
    /// Whether a start message waits for a host, or a host has not settled it.
    pub(super) fn is_unsettled(&self, workflow: &WorkflowName, start: StartMessage) -> bool {
        self.starts.messages(workflow.as_str()).iter().any(|waiting| waiting.message == start)
    }
}

fn letter(PublishedStart { request, message, .. }: &PublishedStart) -> DeadLetter {
    let start_time = request.start_time.header();
    let deadline = request.deadline.header();
    DeadLetter {
        workflow: request.workflow.clone(),
        subject: format!("start {}", request.workflow),
        headers: once(("Jetway-Run-Id".to_owned(), request.run_id.clone()))
            .chain(start_time.map(|time| ("Jetway-Original-Jetway-Start-At".to_owned(), time)))
            .chain(deadline.map(|time| ("Jetway-Original-Jetway-Deadline".to_owned(), time)))
            .collect(),
        payload: request.input.clone(),
        id: format!("start-{}", message.sequence),
        ..DeadLetter::default()
    }
}
