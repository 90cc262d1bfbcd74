//! A slow server, and a bad line to it.

use super::support::{Setup, completes, goes_on, host, impatient, publish};
use crate::support::DEADLINE;
use anyhow::Result;
use jetway::{Client, host::EngineConfig};
use jetway_testing::{NatsServer, Proxy, unique_namespace, wait_until};
use jetway_tests::resources::Job;
use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// More than a write is tried for, and more than a lease lasts.
const LONG: Duration = Duration::from_secs(3);
const RUNS: usize = 30;

async fn passes(time: Duration) {
    let began = Instant::now();
    wait_until("the time is over", DEADLINE, async || began.elapsed() >= time).await;
}

async fn all_complete(client: &Client, label: &str, job: &Job) -> Result<()> {
    for number in 0..RUNS {
        completes(client, &format!("{label}-{number}"), job).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_survive_a_bad_line_between_host_and_server() -> Result<()> {
    let server = NatsServer::start().await?;
    let ns = unique_namespace("line");
    let proxy = Proxy::start(&server.url()).await?;
    let host = host(impatient(&proxy.url(), &ns)?, EngineConfig::default()).await?;
    let client = Client::connect_with(impatient(&server.url(), &ns)?).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let job = Job { branches: 20, ..Job::ordinary() };
    let start = async |label: &str| {
        for number in 0..RUNS {
            publish(&jetstream, &ns, &format!("{label}-{number}"), &job).await?;
        }
        anyhow::Ok(())
    };

    proxy.delay(Duration::from_millis(50));
    start("delayed").await?;
    all_complete(&client, "delayed", &job).await?;
    proxy.delay(Duration::ZERO);

    proxy.throttle(NonZeroU32::new(300_000));
    start("throttled").await?;
    all_complete(&client, "throttled", &job).await?;
    proxy.throttle(None);

    start("held").await?;
    proxy.hold();
    passes(LONG).await;
    proxy.release();
    all_complete(&client, "held", &job).await?;

    start("cut").await?;
    for _ in 0..5 {
        proxy.cut().await;
        passes(Duration::from_millis(200)).await;
    }
    all_complete(&client, "cut", &job).await?;
    goes_on(&client, "after").await?;
    host.drain().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_survive_a_server_that_freezes() -> Result<()> {
    let mut setup = Setup::impatient("freeze", EngineConfig::default()).await?;
    let job = Job { branches: 20, ..Job::ordinary() };
    for round in ["one", "two"] {
        for number in 0..RUNS {
            setup.publish(&format!("{round}-{number}"), &job).await?;
        }
        setup.server.pause().await?;
        passes(LONG).await;
        setup.server.resume()?;
        all_complete(&setup, round, &job).await?;
    }
    goes_on(&setup, "after").await
}
