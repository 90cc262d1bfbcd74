//! Start messages.

use super::{BackendUnderTest, DEADLINE, LEASE, host::request, snapshots::key};
use crate::wait_until;
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

pub(super) async fn a_start_is_delivered_until_it_is_settled(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish_start(&request("w", "r", &1)).await.expect("it is published");
    let mut starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(2))).await.expect("starts come");
    let mut next = async || {
        let delivery = tokio::time::timeout(DEADLINE, starts.next()).await.expect("it comes in time");
        delivery.expect("the stream goes on").expect("a start is delivered")
    };
    let first = next().await;
    assert_eq!((first.request.workflow.as_str(), first.request.run_id.as_str()), ("w", "r"));
    assert_eq!(first.request.input, "1");
    assert_eq!(first.original.payload, "1");
    drop(first);
    let again = next().await;
    assert_eq!(again.request.run_id, "r");
    again.lease.ack().await.expect("it is settled");
    let third = tokio::time::timeout(LEASE + LEASE / 2, starts.next()).await;
    assert!(third.is_err(), "a settled start came again");
}

pub(super) async fn starts_of_unknown_workflows_are_expelled(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("known", "r"));
    let starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(1))).await.expect("starts come");
    drop(starts);
    backend.publish_start(&request("known", "r", &1)).await.expect("it is published");
    backend.publish_start(&request("unknown", "r", &1)).await.expect("it is published");
    let early =
        backend.dead_letter_unroutable_starts(Duration::from_secs(600)).await.expect("it can be asked");
    assert_eq!(early, 0, "the grace period is not kept");
    wait_until("the unknown start is expelled", DEADLINE, async || {
        backend.dead_letter_unroutable_starts(Duration::from_millis(1)).await.expect("it can be asked") == 1
    })
    .await;
    assert_eq!(backend.dead_letter_unroutable_starts(Duration::ZERO).await.expect("it can be asked"), 0);
    let mut starts = backend.starts(&run.workflow, Arc::new(Semaphore::new(1))).await.expect("starts come");
    let kept = tokio::time::timeout(DEADLINE, starts.next()).await.expect("the known one is still there");
    assert_eq!(kept.expect("the stream goes on").expect("it comes").request.workflow, "known");
}
