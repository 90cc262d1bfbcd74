//! Very many branches.

use super::support::{Setup, completes, goes_on, named};
use crate::support::DEADLINE;
use anyhow::Result;
use jetway::{Client, Host, NatsConfig};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use jetway_tests::resources::{Job, work_that_counts};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn p9_ten_thousand_branches_keep_the_snapshot_small() -> Result<()> {
    let setup = Setup::new("wide").await?;
    let job = Job { branches: 10_000, branch_bytes: 100, ..Job::ordinary() };
    let began = Instant::now();
    let run = setup.start("work", &job, &named("wide")?).await?;
    let subject = format!("$KV.JETWAY_{}_RUNS.work.wide", setup.ns);
    let bucket = setup.jetstream.get_stream(setup.stream("RUNS")).await?;
    let mut largest = 0;
    wait_until("the run is over", DEADLINE * 3, async || {
        if let Ok(snapshot) = bucket.get_last_raw_message_by_subject(&subject).await {
            largest = largest.max(snapshot.payload.len());
        }
        setup.result(&run, Duration::ZERO).await.is_ok()
    })
    .await;
    completes(&setup, "wide", &job).await?;
    println!("10,000 branches took {:?}, the largest snapshot seen {largest} bytes", began.elapsed());
    assert!((1..128 * 1024).contains(&largest), "the snapshot takes {largest} bytes");
    goes_on(&setup, "after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_share_the_branches_of_one_run() -> Result<()> {
    const SLOTS: usize = 50;
    let server = NatsServer::start().await?;
    let config = NatsConfig::new(server.url()).in_namespace(unique_namespace("share").parse()?);
    let visits = [Arc::<AtomicU32>::default(), Arc::default()];
    let mut hosts = Vec::new();
    for visits in &visits {
        let host = Host::builder().nats_config(config.clone()).concurrency(SLOTS);
        hosts.push(host.workflow(work_that_counts(visits)).build().await?.start().await?);
    }
    // Both wait for work. A host takes no more than it has slots for, so each gets a good part of what there is.
    let client = Client::connect_with(config).await?;
    let job = Job { branches: 20 * SLOTS as u32, branch_millis: 200, ..Job::ordinary() };
    let run = client.start("work", &job, &named("share")?).await?;
    let done = client.result(&run, DEADLINE).await?;
    assert_eq!(done.steps, u64::from(job.branches) + 2, "{done:?}");
    let visits = visits.map(|visits| visits.load(Relaxed));
    assert!(visits.iter().all(|visits| *visits >= job.branches / 10), "{visits:?}");
    Ok(())
}
