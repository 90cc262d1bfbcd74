//! Streams, and a server, without room.

use super::{
    process::HostProcess,
    support::{Setup, completes, goes_on, key, named},
};
use crate::support::DEADLINE;
use anyhow::{Context, Result};
use async_nats::jetstream::stream::Config;
use jetway::{
    Client, NatsConfig,
    client::{ClientError, Json, Status},
    host::EngineConfig,
};
use jetway_testing::{NATS_CONF, NatsServer, unique_namespace, wait_until};
use jetway_tests::resources::{Growth, Job};
use std::time::{Duration, Instant};

/// How many runs are started while there is no room.
const RUNS: usize = 5;
/// Long enough for every message to be delivered more often than a host may be lost over it.
const LONG: Duration = Duration::from_secs(6);

/// No more fits into the stream than it holds now.
async fn fill(setup: &Setup, word: &str) -> Result<()> {
    setup
        .change(word, |config, bytes| config.max_bytes = i64::try_from(bytes).unwrap_or(i64::MAX).max(1))
        .await
}

async fn make_room(setup: &Setup, word: &str) -> Result<()> {
    setup.change(word, |config, _| config.max_bytes = -1).await
}

/// A host that would fail a run whose ticket it lost more than once.
async fn setup(label: &str) -> Result<Setup> {
    Setup::impatient(label, EngineConfig { max_attempts: 2, ..EngineConfig::default() }).await
}

async fn passes(time: Duration) {
    let began = Instant::now();
    wait_until("the time is over", DEADLINE, async || began.elapsed() >= time).await;
}

async fn start_some(setup: &Setup) -> Result<()> {
    for number in 0..RUNS {
        setup.publish(&format!("r{number}"), &Job::ordinary()).await?;
    }
    Ok(())
}

async fn some_complete(setup: &Setup) -> Result<()> {
    for number in 0..RUNS {
        completes(setup, &format!("r{number}"), &Job::ordinary()).await?;
    }
    Ok(())
}

fn says_no_room(error: &ClientError) {
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("there is no room"), "{error}");
    assert!(error.to_string().contains("raise the limit"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_no_room_for_starts_is_an_error_of_the_starter() -> Result<()> {
    let setup = setup("full-start").await?;
    fill(&setup, "START").await?;
    let job = Job::ordinary();
    assert!(
        setup.publish("plain", &job).await.is_err_and(|error| error.to_string().contains("maximum bytes"))
    );
    let refused = setup.publish_start("work", &job, &named("refused")?).await;
    says_no_room(&refused.err().context("there is no room")?);
    // Asking needs no place in the stream.
    goes_on(&setup, "asked").await?;
    // A start waits for room for a while.
    let waiting = tokio::spawn({
        let client = setup.client.clone();
        async move {
            client
                .publish_start("work", &Job::ordinary(), &named("waited")?)
                .await
                .map_err(anyhow::Error::from)
        }
    });
    make_room(&setup, "START").await?;
    waiting.await??;
    completes(&setup, "waited", &job).await?;
    goes_on(&setup, "after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_no_room_for_tickets_or_new_runs_makes_starts_wait() -> Result<()> {
    for word in ["WORK", "RUNS"] {
        let setup = setup("full-work").await?;
        goes_on(&setup, "before").await?;
        fill(&setup, word).await?;
        start_some(&setup).await?;
        let refused = setup.start("work", &Job::ordinary(), &named("asked")?).await;
        says_no_room(&refused.err().context("there is no room")?);
        passes(LONG).await;
        make_room(&setup, word).await?;
        some_complete(&setup).await?;
        // What was asked for and refused is asked for again.
        goes_on(&setup, "asked").await?;
        goes_on(&setup, "after").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_no_room_for_results_keeps_them_until_there_is() -> Result<()> {
    let setup = setup("full-done").await?;
    goes_on(&setup, "before").await?;
    fill(&setup, "DONE").await?;
    start_some(&setup).await?;
    let run = key("work", "r0")?;
    wait_until("the run is over", DEADLINE, async || {
        setup.status(&run).await.is_ok_and(|status| status.run.status == Status::Completed)
    })
    .await;
    passes(LONG).await;
    assert!(matches!(setup.result(&run, Duration::ZERO).await, Err(ClientError::TimedOut { .. })));
    make_room(&setup, "DONE").await?;
    some_complete(&setup).await?;
    goes_on(&setup, "after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_no_room_for_steps_holds_a_run_up_and_never_fails_it() -> Result<()> {
    let setup = setup("full-runs").await?;
    let run = setup.start("grow", &Growth { bytes: 10, steps: 500 }, &named("grows")?).await?;
    let steps = async || setup.status(&run).await.map(|status| status.run.steps).unwrap_or_default();
    wait_until("the run is in the middle", DEADLINE, async || steps().await > 50).await;
    fill(&setup, "RUNS").await?;
    let held = steps().await;
    passes(LONG).await;
    assert_eq!(steps().await, held, "it went on without room");
    assert!(held < 500, "it was over before it could be held up");
    make_room(&setup, "RUNS").await?;
    let done = setup.result(&run, DEADLINE).await?;
    assert_eq!(
        (done.status, done.output.as_ref().map(Json::get)),
        (Status::Completed, Some("500")),
        "{:?}",
        done.error
    );
    goes_on(&setup, "after").await
}

/// What a full disk shows as: the server refuses to store anything.
#[tokio::test(flavor = "multi_thread")]
async fn p9_a_full_server_is_told_of_and_survived() -> Result<()> {
    let config = NATS_CONF.replace("max_memory_store:", "max_file_store: 20MB\n  max_memory_store:");
    anyhow::ensure!(config != NATS_CONF, "the configuration has another form");
    let server = NatsServer::builder().config(config).start().await?;
    let (url, ns) = (server.url(), unique_namespace("full"));
    let host = HostProcess::start(&url, &ns).await?;
    let mut config = NatsConfig::new(&url).in_namespace(ns.parse()?);
    config.writes.give_up_after = Duration::from_secs(1);
    let client = Client::connect_with(config).await?;
    goes_on(&client, "before").await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(&url).await?);
    let filler = Config { name: "FILLER".to_owned(), ..Config::default() };
    let filler = jetstream.create_stream(filler).await?;
    let fill = async |bytes: usize| {
        while jetstream.publish("FILLER", vec![0; bytes].into()).await?.await.is_ok() {}
        anyhow::Ok(())
    };
    fill(500_000).await?;
    filler.delete_message(1).await?;
    let run = client.start("grow", &Growth { bytes: 10, steps: 500 }, &named("grows")?).await?;
    for bytes in [50_000, 5_000, 100] {
        fill(bytes).await?;
    }
    let refused = client.publish_start("work", &Job::ordinary(), &named("refused")?).await;
    says_no_room(&refused.err().context("the server is full")?);
    wait_until("the host says so", DEADLINE, async || host.said("there is no room") > 0).await;
    passes(LONG).await;
    let held = client.status(&run).await?;
    assert_eq!(held.run.status, Status::Running, "{held:?}");
    jetstream.delete_stream("FILLER").await?;
    let done = client.result(&run, DEADLINE).await?;
    assert_eq!(
        (done.status, done.output.as_ref().map(Json::get)),
        (Status::Completed, Some("500")),
        "{:?}",
        done.error
    );
    goes_on(&client, "after").await
}
