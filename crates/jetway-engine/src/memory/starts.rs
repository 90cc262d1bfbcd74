//! Start messages in memory.

use super::{
    MemoryBackend,
    leases::{Leases, Message},
    locked,
};
use crate::{
    backend::{BackendError, DeadLetter, Results as _, StartDelivery, StartRequest, Starts},
    refusal::tell_refused,
};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_state::WorkflowName;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

pub(super) type Queue = Leases<PublishedStart>;

/// A start message.
#[derive(Debug, Clone)]
pub(super) struct PublishedStart {
    request: StartRequest,
    sequence: u64,
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
    async fn publish_start(&self, request: &StartRequest) -> Result<u64, BackendError> {
        let mut request = request.clone();
        if request.run_id.is_empty() {
            request.run_id = format!("m{}", rand::random::<u64>());
        }
        let lane = request.workflow.clone();
        let sequence = self.published_starts.fetch_add(1, Ordering::Relaxed) + 1;
        self.starts.add(&lane, PublishedStart { request, sequence, at: Instant::now() });
        Ok(sequence)
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
                let PublishedStart { request, sequence, .. } = start;
                let original = letter(&request);
                Some((Ok(StartDelivery { request, lease, slot, original, sequence }), ()))
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
            for PublishedStart { request, sequence, .. } in self.starts.remove(&lane) {
                let reason = format!("no host serves the workflow {lane:?}");
                let (why, original) = ("unknown-workflow", letter(&request));
                self.dead_letter(DeadLetter { why: why.to_owned(), reason: reason.clone(), ..original })
                    .await?;
                tell_refused(self, &request.workflow, &request.run_id, sequence, why, reason).await;
                moved += 1;
            }
        }
        Ok(moved)
    }
}

fn letter(request: &StartRequest) -> DeadLetter {
    DeadLetter {
        workflow: request.workflow.clone(),
        subject: format!("start {}", request.workflow),
        headers: vec![("Jetway-Run-Id".to_owned(), request.run_id.clone())],
        payload: request.input.clone(),
        id: format!("{}/{}", request.workflow, request.run_id),
        ..DeadLetter::default()
    }
}
