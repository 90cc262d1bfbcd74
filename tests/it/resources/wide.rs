//! Very many branches.

use super::support::{Setup, completes, goes_on, named};
use crate::support::DEADLINE;
use anyhow::Result;
use jetway_testing::wait_until;
use jetway_tests::resources::Job;
use std::time::{Duration, Instant};

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
