//! A whole host with the rights of a worker.

use super::{Enforced, Logins, operator::verb};
use crate::support::DEADLINE;
use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use jetway::{
    ChildRun, HostHandle,
    client::{DoneView, StartOptions, Status},
    host::{EngineConfig, SystemConfig},
    prelude::*,
};
use jetway_testing::wait_until;
use serde_json::Value;
use std::time::Duration;

/// More than a snapshot holds, so it is stored in chunks.
const LARGE: usize = 600_000;

node! {
    struct Split;
    input = u64;
    output = String;
    |_ctx, number| { Ok(Transition::NextAll((0..number).map(|_| "x".repeat(LARGE)).collect())) }
}

node! {
    struct Measure;
    input = String;
    output = usize;
    |_ctx, text| { Ok(Transition::Next(text.len())) }
}

workflow! {
    struct Length { measure: Measure }
    name = "length";
    start = measure;
    edges { measure => []; }
}

node! {
    struct Sum;
    input = Vec<usize>;
    output = usize;
    |_ctx, lengths| { Ok(Transition::Next(lengths.into_iter().sum())) }
}

workflow! {
    struct Lengths {
        split: Split,
        length: ChildRun<(), Length>,
        #[gather]
        sum: Sum,
    }
    name = "lengths";
    start = split;
    edges { split => [length]; length => [sum]; sum => []; }
}

node! {
    /// Waits until it is cancelled.
    struct Wait;
    input = u64;
    output = u64;
    |_ctx, number| {
        if let Some(step) = step() {
            step.cancel_token().cancelled().await;
        }
        Ok(Transition::Next(number))
    }
}

workflow! {
    struct Waiting { wait: Wait }
    name = "waiting";
    start = wait;
    edges { wait => []; }
}

/// A host that sweeps all the time.
async fn start(enforced: &Enforced) -> Result<HostHandle> {
    let engine = EngineConfig { stale_after: Duration::from_secs(1), ..EngineConfig::default() };
    let second = Duration::from_secs(1);
    let system = SystemConfig {
        sweep_every: second,
        cleanup_every: second,
        unroutable_grace: second,
        ..SystemConfig::new("whole")
    };
    let host = Host::builder()
        .nats_config(enforced.config("worker")?)
        .engine_config(engine)
        .system_config(system)
        .workflow(Lengths { split: Split, length: ChildRun::new(Length { measure: Measure }), sum: Sum })
        .workflow(Length { measure: Measure })
        .workflow(Waiting { wait: Wait });
    Ok(host.build().await?.start().await?)
}

async fn finished(client: &Client, id: &str) -> Result<DoneView> {
    let options = StartOptions::named(id.parse()?);
    let run = client.start("lengths", &3_u64, &options).await?;
    Ok(client.result(&run, DEADLINE).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_worker_is_a_whole_host() -> Result<()> {
    let enforced = Enforced::start(Logins::Passwords, &[]).await?;
    let host = start(&enforced).await?;
    let client = Client::connect_with(enforced.config("operator")?).await?;
    // Steps, chunks, children, a gathering step and a result.
    let done = finished(&client, "first").await?;
    ensure!(done.status == Status::Completed, "{:?}", done.error);
    assert_eq!(done.output.context("an output")?.read::<usize>()?, 3 * LARGE);
    let run = client.start("waiting", &0_u64, &StartOptions::named("long".parse()?)).await?;
    for control in ["pause", "resume", "cancel"] {
        verb(&enforced, "operator", &[control, "waiting", "long"]).await?;
    }
    assert_eq!(client.result(&run, DEADLINE).await?.status, Status::Cancelled);
    let jetstream = jetstream::new(enforced.client("operator").await?);
    dead_letters(&enforced, &jetstream).await?;
    // The sweep of a new host finds that a result is lost.
    host.drain().await;
    let results = jetstream.get_stream(format!("JETWAY_{}_DONE", enforced.namespace)).await?;
    let subject = enforced.subject("done.lengths.first");
    let stored = results.get_last_raw_message_by_subject(&subject).await?;
    results.delete_message(stored.sequence).await?;
    let host = start(&enforced).await?;
    wait_until("the result is there again", DEADLINE, async || {
        results.get_last_raw_message_by_subject(&subject).await.ok()
    })
    .await;
    host.drain().await;
    enforced.refused_nothing()
}

/// A start that cannot be read, and one that nobody serves.
async fn dead_letters(enforced: &Enforced, jetstream: &jetstream::Context) -> Result<()> {
    let starter = enforced.client("starter").await?;
    starter.publish(enforced.subject("start.lengths"), "no json".into()).await?;
    starter.publish(enforced.subject("start.unserved"), "0".into()).await?;
    starter.flush().await?;
    let dead = jetstream.get_stream(format!("JETWAY_{}_DEAD", enforced.namespace)).await?;
    for letter in ["lengths.*", "unserved.*"] {
        let subject = enforced.subject(&format!("dead.{letter}"));
        wait_until(&format!("the dead letter {letter}"), DEADLINE, async || {
            let mut subjects = dead.info_with_subjects(subject.clone()).await.ok()?;
            futures::TryStreamExt::try_next(&mut subjects).await.ok()?
        })
        .await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_worker_of_some_workflows_takes_their_work() -> Result<()> {
    let workflows = ["--workflow", "lengths", "--workflow", "length", "--workflow", "waiting"];
    let enforced = Enforced::start(Logins::Nkeys, &workflows).await?;
    let host = start(&enforced).await?;
    let client = Client::connect_with(enforced.config("operator")?).await?;
    let done = finished(&client, "first").await?;
    ensure!(done.status == Status::Completed, "{:?}", done.error);
    // Requests of a starter go through the import.
    let starter = enforced.client("starter").await?;
    let answer = starter.request(enforced.subject("api.status.lengths.first"), "".into()).await?;
    let status: Value = serde_json::from_slice(&answer.payload)?;
    assert_eq!(status["status"], "completed");
    host.drain().await;
    enforced.refused_nothing()
}
