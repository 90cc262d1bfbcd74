//! Hosts that die at every fail point, once and again: what is committed is exact, whatever is executed twice.
//!
//! The table of the guide's page on crashes is that of these tests: `JETWAY_UPDATE_DOCS=1` writes it, and otherwise it
//! is compared.

mod cases;
mod page;
mod play;
mod stage;

use crate::support::binary;
use anyhow::{Context, Result, ensure};
use cases::{CASES, Case};
use futures::{StreamExt, TryStreamExt, stream};
use jetway_engine::fail_point::FailPoint;
use jetway_testing::NatsServer;
use play::Play;
use std::{env, fs};

/// How many hosts are made to die beside each other.
const AT_ONCE: usize = 6;

/// Plays the cases of some plays on one server, each with one death and with two.
async fn all(plays: &[Play]) -> Result<()> {
    let server = NatsServer::start().await?;
    let cases = CASES.iter().filter(|case| plays.contains(&case.play));
    let played: Vec<_> = cases.flat_map(|case| [(case, 1), (case, 2)]).collect();
    ensure!(!played.is_empty(), "nothing is played");
    let url = server.url();
    stream::iter(played)
        .map(|(case, deaths)| {
            let url = url.clone();
            async move {
                let what = format!("{} dies {deaths} times", case.point);
                play::play(&url, case, deaths).await.context(what)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p1_p2_p3_a_host_dies_at_every_place_of_a_start_and_of_a_step() -> Result<()> {
    all(&[Play::Chain]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_at_every_place_of_a_fan_out() -> Result<()> {
    all(&[Play::Fan, Play::Wide]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p3_a_host_dies_at_every_place_of_a_child_run() -> Result<()> {
    all(&[Play::Children]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p5_a_host_dies_while_it_tells_runs_what_to_do() -> Result<()> {
    all(&[Play::Cancel, Play::Pause, Play::Resume]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p5_a_child_that_is_recorded_is_not_started_when_its_parent_has_ended() -> Result<()> {
    let server = NatsServer::start().await?;
    play::cancelled_before_the_child_is_started(&server.url()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_p4_a_host_dies_while_it_mends() -> Result<()> {
    all(&[Play::Sweep]).await
}

#[test]
fn every_fail_point_has_its_case() {
    let points: Vec<FailPoint> = CASES.iter().map(|case: &Case| case.point).collect();
    assert_eq!(points, FailPoint::ALL);
}

#[test]
fn the_guide_shows_these_cases() -> Result<()> {
    let (file, page) = (page::file(), page::page());
    if env::var_os("JETWAY_UPDATE_DOCS").is_some() {
        fs::write(&file, &page)?;
    }
    let shown = fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?;
    ensure!(shown == page, "{} is out of date: JETWAY_UPDATE_DOCS=1 writes it", file.display());
    Ok(())
}

#[test]
fn the_command_has_no_trace_of_fail_points() -> Result<()> {
    for (binary, traces) in [(binary(), false), (&stage::crash_host().clone(), true)] {
        let bytes = fs::read(binary)?;
        for name in ["JETWAY_FAIL_POINT", "JETWAY_BROKEN_RULE"] {
            let (first, rest) = name.split_at(1);
            let found = bytes
                .split(|byte| [*byte] == first.as_bytes())
                .any(|behind| behind.starts_with(rest.as_bytes()));
            assert_eq!(found, traces, "{name} in {}", binary.display());
        }
    }
    Ok(())
}
