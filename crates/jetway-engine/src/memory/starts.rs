//! Start messages in memory.

use super::{MemoryBackend, leases::Leases, locked};
use crate::backend::{BackendError, DeadLetter, Results as _, StartDelivery, StartRequest, Starts};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_state::WorkflowName;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};

pub(super) type Queue = Leases<(StartRequest, Instant)>;

#[async_trait]
impl Starts for MemoryBackend {
    async fn publish_start(&self, request: &StartRequest) -> Result<(), BackendError> {
        let mut request = request.clone();
        if request.run_id.is_empty() {
            request.run_id = format!("m{}", rand::random::<u64>());
        }
        let lane = request.workflow.clone();
        self.starts.add(&lane, (request, Instant::now()), |_| false);
        Ok(())
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
                let ((request, _), _, lease, slot) = queue.take(&lane, &slots, duration).await?;
                let original = letter(&request);
                Some((Ok(StartDelivery { request, lease, slot, original }), ()))
            }
        })
        .boxed())
    }

    async fn dead_letter_unroutable_starts(&self, grace: Duration) -> Result<u64, BackendError> {
        let served = locked(&self.hosts).served.clone();
        let mut moved = 0;
        for lane in self.starts.lanes().into_iter().filter(|lane| !served.contains(lane)) {
            let starts = self.starts.messages(&lane);
            if starts.iter().any(|(_, since)| since.elapsed() < grace) {
                continue;
            }
            for (request, _) in self.starts.remove(&lane) {
                let reason = format!("no host serves the workflow {lane:?}");
                let letter = DeadLetter { why: "unknown-workflow".to_owned(), reason, ..letter(&request) };
                self.dead_letter(letter).await?;
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
