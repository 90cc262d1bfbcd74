//! Hosts that die at every fail point, once and then again after a restart. Every step is committed once, even if it is
//! executed twice.
//!
//! The table in the guide's page on crashes comes from these tests. They compare it; `JETWAY_UPDATE_DOCS=1` writes it.

mod asked;
mod cases;
mod children;
mod fixture;
mod page;
mod scenario;

use crate::{support::binary, verifier::mutant_binary};
use anyhow::{Context, Result, ensure};
use cases::{CASES, Case};
use futures::{StreamExt, TryStreamExt, stream};
use jetway_engine::fail_point::FailPoint;
use jetway_testing::NatsServer;
use scenario::Scenario;
use std::{env, fs};

/// The number of concurrent cases.
const AT_ONCE: usize = 6;

/// Runs the cases of some scenarios on one server, each with one death and with two.
async fn all(scenarios: &[Scenario]) -> Result<()> {
    // A signal waits for its run for one minute. The host may be built for longer.
    fixture::crash_host();
    let server = NatsServer::start().await?;
    let cases = CASES.iter().filter(|case| scenarios.contains(&case.scenario));
    let cases: Vec<_> = cases.flat_map(|case| [(case, 1), (case, 2)]).collect();
    ensure!(!cases.is_empty(), "no case belongs to {scenarios:?}");
    let url = server.url();
    stream::iter(cases)
        .map(|(case, deaths)| {
            let url = url.clone();
            async move {
                let what = format!("{} dies {deaths} times", case.point);
                scenario::run(&url, case, deaths).await.context(what)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p1_p2_p3_a_host_dies_in_a_start_and_in_a_step() -> Result<()> {
    all(&[Scenario::Chain]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_when_its_run_falls_asleep() -> Result<()> {
    all(&[Scenario::Sleep]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_when_its_run_gets_a_signal() -> Result<()> {
    all(&[Scenario::Signal, Scenario::Early, Scenario::Untaken]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_when_its_run_continues_as_new() -> Result<()> {
    all(&[Scenario::Rounds]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p5_a_host_dies_at_the_deadline_of_its_run() -> Result<()> {
    all(&[Scenario::Late]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_in_a_fan_out() -> Result<()> {
    all(&[Scenario::Fan, Scenario::Wide]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_in_a_child_run() -> Result<()> {
    all(&[Scenario::Children]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_when_it_has_started_a_detached_child() -> Result<()> {
    all(&[Scenario::Detach]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_w49_a_host_dies_before_it_starts_a_detached_child() -> Result<()> {
    let server = NatsServer::start().await?;
    for point in [FailPoint::RunEnded, FailPoint::ChildCreated] {
        children::detached(&server.url(), point).await.with_context(|| point.to_string())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_among_many_child_runs() -> Result<()> {
    let server = NatsServer::start().await?;
    for place in ["child-recorded", "child-recorded@2", "child-created@2", "committed@4", "parent-woken@2"] {
        children::many(&server.url(), place).await.context(place)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p5_a_host_dies_in_cancel_pause_and_resume() -> Result<()> {
    all(&[Scenario::Cancel, Scenario::Terminate, Scenario::CleanUp, Scenario::Pause, Scenario::Resume]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p5_a_cancelled_parent_starts_no_recorded_child() -> Result<()> {
    let server = NatsServer::start().await?;
    scenario::cancel_before_the_child_is_started(&server.url()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p4_a_host_dies_in_a_sweep() -> Result<()> {
    all(&[Scenario::Sweep]).await
}

#[test]
fn every_fail_point_has_its_case() {
    let points: Vec<FailPoint> = CASES.iter().map(|case: &Case| case.point).collect();
    assert_eq!(points, FailPoint::ALL);
}

#[test]
fn the_guide_has_the_table_of_cases() -> Result<()> {
    let (file, page) = (page::file(), page::page());
    if env::var_os("JETWAY_UPDATE_DOCS").is_some() {
        fs::write(&file, &page)?;
    }
    let shown = fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?;
    ensure!(shown == page, "{} is out of date: JETWAY_UPDATE_DOCS=1 writes it", file.display());
    Ok(())
}

#[test]
fn the_command_contains_no_fail_points_and_no_defects() -> Result<()> {
    let (fail_points, defects) = ("JETWAY_FAIL_POINT", "effects-before-commit");
    for (program, text, expected) in [
        (binary(), fail_points, false),
        (fixture::crash_host(), fail_points, true),
        (binary(), defects, false),
        (mutant_binary(), defects, true),
    ] {
        let bytes = fs::read(program)?;
        let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert_eq!(found, expected, "{text} in {}", program.display());
    }
    Ok(())
}
