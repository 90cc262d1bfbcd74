//! Records of runs whose results cannot be stored.

use crate::support::{DEADLINE, client, config, connect, heard};
use async_nats::jetstream::{self, stream::Stream};
use jetway_engine::{EngineConfig, Sweeper, TicketOutcome, backend::SnapshotStore as _};
use jetway_nats::{NatsConfig, WriteConfig};
use jetway_state::Seen;
use jetway_testing::{
    conformance::{Probe, TestHost},
    wait_until,
};
use std::{sync::Arc, time::Duration};

/// The record of a run would expire after this time.
const KEEP: Duration = Duration::from_secs(4);

/// Lets the stream of results have room, or none.
async fn set_room(stream: &Stream, room: bool) {
    let mut config = stream.cached_info().config.clone();
    // One message more than it has is no room, since results are added by subject.
    config.max_messages = if room { -1 } else { 1 };
    config.discard = jetstream::stream::DiscardPolicy::New;
    jetstream::new(client().await).update_stream(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_record_is_kept_until_its_result_is_stored() {
    let lease = Duration::from_millis(800);
    let writes = WriteConfig { give_up_after: Duration::from_millis(300), ..WriteConfig::default() };
    let config = NatsConfig { keep_finished: KEEP, ack_wait: lease, writes, ..config("kept").await };
    let backend = Arc::new(connect(config).await);
    let client = client().await;
    let done = jetstream::new(client.clone());
    let done = done.get_stream(format!("JETWAY_{}_DONE", backend.namespace())).await.unwrap();
    client.publish(format!("jetway.{}.done.other.r", backend.namespace()), "{}".into()).await.unwrap();
    heard(&client).await;
    set_room(&done, false).await;
    let limits = EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() };
    let host = TestHost::with(&(Arc::clone(&backend) as _), &Probe::open(), limits);
    let run = host.start("chain3", "r", &1).await;
    let ended = host.work_off(host.ticket("chain3").await).await;
    assert!(matches!(ended, TicketOutcome::Abandoned { .. }), "{ended:?}");
    let revision = async || backend.load(&run, Seen::default()).await.unwrap().map(|stored| stored.revision);
    let (mut sweeper, mut last, mut writes) = (Sweeper::default(), revision().await, 0);
    // Each write is worth a quarter of its time at least, so that the record has outlived itself.
    wait_until("the record is written again and again", DEADLINE, async || {
        sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
        let swept = host.engine.sweep(&mut sweeper).await;
        assert!(swept.is_ok(), "{swept:?}");
        let found = revision().await;
        assert!(found.is_some(), "the record expired, and its result is not stored");
        writes += u32::from(found != last);
        last = found;
        writes > 6
    })
    .await;
    set_room(&done, true).await;
    wait_until("the result is stored", DEADLINE, async || {
        sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
        host.engine.sweep(&mut sweeper).await.is_ok()
            && done
                .get_last_raw_message_by_subject(&format!(
                    "jetway.{}.done.{}.{}",
                    backend.namespace(),
                    run.workflow,
                    run.run_id
                ))
                .await
                .is_ok()
    })
    .await;
    assert_eq!(host.output::<u64>(&run).await, 4);
}
