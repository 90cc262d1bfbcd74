//! A host that meets what a newer build wrote leaves it as it is, says what to do, and goes on with the rest.

use super::{Host, said, sealed_run, sealed_ticket, ticket};
use crate::support::{DEADLINE, jetway, jetway_json};
use anyhow::Result;
use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use jetway_state::run::Status;
use jetway_testing::try_wait_until;

/// The same envelope with the number of a format that is not there yet.
fn newer(mut sealed: Vec<u8>) -> Vec<u8> {
    sealed[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
    sealed
}

impl Host {
    async fn stored(&self, stream: &str, subject: &str) -> Result<Bytes> {
        let js = jetstream::new(self.client.clone());
        let stream = js.get_stream(stream).await?;
        Ok(stream.get_last_raw_message_by_subject(subject).await?.payload)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_a_host_leaves_a_newer_run_alone_and_says_so() -> Result<()> {
    let mut host = Host::start("newer").await?;
    let (record, key) =
        (newer(sealed_run("from-tomorrow", Status::Running)?), host.key("RUNS", "chain.from-tomorrow"));
    host.store(key.clone(), HeaderMap::new(), record.clone()).await?;
    host.ticket("from-tomorrow", "start", sealed_ticket).await?;
    // And one whose ticket is newer as well.
    host.ticket("from-tomorrow", "start-1", |ticket| Ok(newer(sealed_ticket(ticket)?))).await?;
    let letter =
        host.buried("cannot-run", "has format 65535; this build reads up to format 3: update this host");
    let letter = letter.await?;
    assert!(said(&letter, "Jetway-Reason").contains("run chain/from-tomorrow"), "{letter:?}");
    // Others go on all the while, and the listing of runs tells of both.
    host.works().await?;
    let runs = jetway_json(&host.url, &host.ns, &["runs"]).await?;
    assert_eq!(runs["unreadable"][0]["run_id"], "from-tomorrow");
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(2), "{runs:#}");
    // So does the status of the run.
    let verb = ["status", "chain", "from-tomorrow", "--nats", &host.url, "--namespace", &host.ns];
    let status = jetway(&verb).output().await?;
    let told = String::from_utf8_lossy(&status.stderr);
    assert!(
        !status.status.success() && told.contains("has format 65535") && told.contains("update"),
        "{told}"
    );
    // Nothing was changed or thrown away: the record is as it was, and so is the newer ticket.
    assert_eq!(host.stored(&format!("KV_JETWAY_{}_RUNS", host.ns), &key).await?, record);
    let subject = host.subject("work.chain.one.from-tomorrow.start-1.00000000");
    let kept = host.stored(&format!("JETWAY_{}_WORK", host.ns), &subject).await?;
    assert_eq!(kept[..4], newer(sealed_ticket(&ticket("from-tomorrow", "start-1")?)?)[..4]);
    host.is_idle_again().await
}

/// Such a ticket is delivered again and again: the host says it once, and `doctor` counts it.
#[tokio::test(flavor = "multi_thread")]
async fn a10_a_newer_ticket_is_logged_once() -> Result<()> {
    let host = Host::start("often").await?;
    host.ticket("r", "start", |ticket| Ok(newer(sealed_ticket(ticket)?))).await?;
    let work = jetstream::new(host.client.clone()).get_stream(format!("JETWAY_{}_WORK", host.ns)).await?;
    try_wait_until("it is delivered four times", DEADLINE, async || {
        let info = work.consumer_info("work_chain").await;
        // Its other deliveries are those of the run with which the test begins.
        info.is_ok_and(|info| {
            info.delivered.consumer_sequence > info.delivered.stream_sequence + 2 && info.num_ack_pending == 1
        })
    })
    .await?;
    assert_eq!(host.process.log_lines("a newer version of Jetway wrote this ticket").len(), 1);
    let report = jetway_json(&host.url, &host.ns, &["doctor"]).await?;
    let warning = "1 ticket of workflow chain is in a format of a newer version of Jetway";
    assert!(report["checks"].to_string().contains(warning), "{report:#}");
    host.works().await
}
