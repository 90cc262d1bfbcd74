//! Detached child runs, and many child runs of one step, while hosts die.

use super::fixture::Fixture;
use crate::support::DEADLINE;
use anyhow::{Context, Result, ensure};
use jetway::{RunKey, client::Status};
use jetway_engine::fail_point::FailPoint;
use std::str::FromStr;

/// How many child runs a batch has.
const MANY: u64 = 5;

/// Checks that a run has started its detached child run, and that this has done its three steps.
pub(super) async fn check_detached(fixture: &Fixture, run: &RunKey, steps: u64) -> Result<()> {
    let done = fixture.client.result(run, DEADLINE).await.context("the run does not end")?;
    ensure!(done.status == Status::Completed && done.steps == steps, "{done:#?}");
    let child: RunKey = done.output.context("no output")?.read()?;
    let child = fixture.client.result(&child, DEADLINE).await.context("the child does not end")?;
    let output: Vec<i64> = child.output.context("no output of the child")?.read()?;
    ensure!((child.status, child.steps, output) == (Status::Completed, 3, vec![13, 3]), "the child");
    Ok(())
}

/// A host commits the last step of a run, and dies before the child run of this step is started, or before it has its ticket.
pub(super) async fn detached(url: &str, point: FailPoint) -> Result<()> {
    let fixture = Fixture::new(url, &format!("detached {point}")).await?;
    let run = fixture.start("detach", "r0", 10, 0).await?;
    fixture.host(Some(point.as_str()))?.dies_at(point).await?;
    ensure!(fixture.attempts(&run) == ["one"], "the child has begun");
    let _host = fixture.host(None)?;
    check_detached(&fixture, &run, 2).await?;
    fixture.wait_until_nothing_is_left().await
}

/// A host dies while a step waits for many child runs.
pub(super) async fn many(url: &str, place: &str) -> Result<()> {
    let fixture = Fixture::new(url, &format!("many {place}")).await?;
    let run = fixture.start("batch", "r0", MANY, 0).await?;
    let point = FailPoint::from_str(place.split('@').next().unwrap_or_default())?;
    fixture.host(Some(place))?.dies_at(point).await?;
    let _host = fixture.host(None)?;
    let done = fixture.client.result(&run, DEADLINE).await.context("the run does not end")?;
    ensure!(done.status == Status::Completed && done.steps == 2, "{done:#?}");
    let results: Vec<Result<Vec<i64>, String>> = done.output.context("no output")?.read()?;
    let expected: Vec<_> = (0..MANY.cast_signed()).map(|number| Ok(vec![number + 2, 3])).collect();
    ensure!(results == expected, "{results:?}");
    fixture.wait_until_nothing_is_left().await
}
