//! What happens while hosts die, and the expected result.

use super::{
    asked,
    cases::Case,
    children,
    fixture::{Fixture, Host},
};
use crate::support::DEADLINE;
use anyhow::{Context, Result, ensure};
use jetway::{
    RunKey, WorkflowName,
    client::{CancelReason, Control, RunsQuery, Status},
};
use jetway_engine::fail_point::FailPoint;
use jetway_testing::wait_until;
use serde_json::{Value, json};

/// A sequence of events that brings a host to a fail point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Three steps, one after the other.
    Chain,
    /// Three steps, with a wait before the second.
    Sleep,
    /// Three steps, the first of which gets a signal that it waits for.
    Signal,
    /// The same, and the signal comes before the run is started.
    Early,
    /// The same, with a signal that no step takes.
    Untaken,
    /// Four branches and a join.
    Fan,
    /// Sixty branches whose payloads are beside the snapshot, and a join.
    Wide,
    /// Two child runs and a join.
    Children,
    /// The last step starts a detached child run of three steps.
    Detach,
    /// A run is cancelled while its child run is running.
    Cancel,
    /// The same, and it is terminated.
    Terminate,
    /// A run that sleeps is cancelled, and has a clean-up.
    CleanUp,
    /// A run continues as new once.
    Rounds,
    /// A run sleeps past its deadline.
    Late,
    /// A run is paused, and resumed when the host is back.
    Pause,
    /// A paused run is resumed when none of its items has a ticket.
    Resume,
    /// All tickets of a run are lost.
    Sweep,
}

impl Scenario {
    fn workflow(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Sleep => "sleep",
            Self::Signal | Self::Early | Self::Untaken => "asked",
            Self::Fan | Self::Wide | Self::Sweep => "fan",
            Self::Children | Self::Cancel | Self::Terminate => "family",
            Self::Detach => "detach",
            Self::CleanUp => "stay",
            Self::Rounds => "rounds",
            Self::Late => "late",
            Self::Pause | Self::Resume => "gated",
        }
    }

    /// The number that the workflow is started with, and the bytes of each branch.
    fn input(self) -> (u64, usize) {
        match self {
            Self::Chain | Self::Sleep | Self::Pause | Self::Resume | Self::CleanUp | Self::Detach => (10, 0),
            Self::Signal | Self::Early | Self::Untaken | Self::Rounds | Self::Late => (10, 0),
            Self::Fan | Self::Sweep => (4, 0),
            Self::Wide => (60, 2000),
            Self::Children => (2, 0),
            Self::Cancel | Self::Terminate => (1, 0),
        }
    }

    /// The number of committed steps of a run and of its children, without steps that wait for a child run.
    pub(super) fn committed(self) -> u64 {
        match self {
            Self::Chain | Self::Sleep | Self::Pause | Self::Resume => 3,
            Self::Signal | Self::Early | Self::Untaken => 3,
            Self::Fan | Self::Sweep => 1 + 4 + 1,
            Self::Wide => 1 + 60 + 1,
            Self::Children => 1 + 2 * 3 + 1,
            Self::Detach => 1 + 3,
            Self::Cancel | Self::Terminate | Self::Late => 1,
            Self::CleanUp => 2,
            Self::Rounds => 2 * 2,
        }
    }

    /// The number of attempts if no host dies. The cancelled run has one that is discarded, and a step that waits for a signal has
    /// two.
    pub(super) fn executed(self) -> u64 {
        self.committed() + u64::from(matches!(self, Self::Cancel | Self::Terminate) || self.has_signals())
    }

    fn has_signals(self) -> bool {
        matches!(self, Self::Signal | Self::Early | Self::Untaken)
    }

    /// The names of the signals to each run, in their order.
    fn signals(self) -> &'static [&'static str] {
        match self {
            Self::Untaken => &[asked::SPARE, asked::NUMBER],
            _ => &[asked::NUMBER],
        }
    }

    /// The number of steps in the snapshot of the run itself.
    fn steps(self) -> u64 {
        match self {
            Self::Children => 1 + 2 + 1,
            Self::Detach => 1 + 1,
            _ => self.committed(),
        }
    }

    /// The output: a sum of numbers, and the number of steps from the context.
    fn output(self) -> Value {
        match self {
            Self::Chain | Self::Sleep => json!([12, 3]),
            Self::Signal | Self::Early | Self::Untaken => json!([18, 3]),
            Self::Fan | Self::Sweep => json!([12, 6]),
            Self::Wide => json!([3540, 62]),
            Self::Children => json!([3 + 4, 2]),
            Self::Pause | Self::Resume => json!(13),
            // The context counts the steps of the second incarnation.
            Self::Rounds => json!([12, 2]),
            Self::Cancel | Self::Terminate | Self::CleanUp | Self::Detach | Self::Late => Value::Null,
        }
    }

    /// Starts the `nth` run of this scenario.
    async fn start(self, fixture: &Fixture, nth: usize) -> Result<RunKey> {
        let id = format!("r{nth}");
        if self == Self::Early {
            let run = Fixture::key(self.workflow(), &id)?;
            asked::send(fixture, &run, self.signals()).await?;
            return Ok(run);
        }
        let run = self.publish_start(fixture, &id).await?;
        match self {
            Self::Cancel | Self::Terminate | Self::CleanUp | Self::Pause => {}
            Self::Resume => fixture.open(&run, &["second", "third"])?,
            _ => fixture.open(&run, &["first", "second", "third"])?,
        }
        Ok(run)
    }

    async fn publish_start(self, fixture: &Fixture, id: &str) -> Result<RunKey> {
        let (number, bytes) = self.input();
        fixture.start(self.workflow(), id, number, bytes).await
    }

    /// Sends the commands that bring the host to its fail point.
    async fn provoke(self, fixture: &Fixture, run: &RunKey) -> Result<()> {
        match self {
            Self::Chain
            | Self::Sleep
            | Self::Fan
            | Self::Wide
            | Self::Children
            | Self::Detach
            | Self::Sweep
            | Self::Rounds
            | Self::Late
            | Self::Early => {}
            Self::Signal | Self::Untaken => asked::answer(fixture, run, self.signals()).await?,
            Self::Cancel => {
                fixture.reached(run, "first").await;
                control(fixture, run, Control::Cancel).await;
            }
            Self::Terminate => {
                fixture.reached(run, "first").await;
                control(fixture, run, Control::Terminate).await;
            }
            Self::CleanUp => {
                wait_until("the run sleeps", DEADLINE, async || {
                    let status = fixture.client.status(run).await.ok()?;
                    status.pending.iter().any(|pending| pending.sleeping == 1).then_some(())
                })
                .await;
                control(fixture, run, Control::Cancel).await;
            }
            Self::Pause => {
                fixture.reached(run, "first").await;
                control(fixture, run, Control::Pause).await;
            }
            Self::Resume => {
                fixture.reached(run, "first").await;
                control(fixture, run, Control::Pause).await;
                fixture.open(run, &["first"])?;
                // The second item has no ticket any more.
                wait_until("no item has a ticket", DEADLINE, async || {
                    let steps = fixture.client.status(run).await.ok()?.run.steps;
                    (steps == 1 && fixture.tickets().await.ok()? == 0).then_some(())
                })
                .await;
                control(fixture, run, Control::Resume).await;
            }
        }
        Ok(())
    }

    /// Finishes a run after the restart of the host and checks its result.
    async fn finish(self, fixture: &Fixture, run: &RunKey) -> Result<()> {
        match self {
            Self::Cancel | Self::Terminate => return check_cancelled(fixture, run).await,
            Self::CleanUp => return check_cleaned_up(fixture, run).await,
            Self::Detach => return children::check_detached(fixture, run, self.steps()).await,
            Self::Late => return check_late(fixture, run).await,
            Self::Pause => {
                let paused = fixture.client.status(run).await?;
                ensure!((paused.run.status, paused.run.steps) == (Status::Paused, 0), "{paused:?}");
                fixture.open(run, &["first", "second", "third"])?;
                control(fixture, run, Control::Resume).await;
            }
            // The second host may have died in the first run, before it processed this one.
            Self::Signal | Self::Untaken => asked::answer(fixture, run, self.signals()).await?,
            Self::Resume => fixture.open(run, &["first"])?,
            _ => {}
        }
        if self == Self::Resume {
            wait_until("the run is not paused", DEADLINE, async || {
                let paused = fixture.client.status(run).await.ok()?.run.status == Status::Paused;
                if paused {
                    control(fixture, run, Control::Resume).await;
                }
                (!paused).then_some(())
            })
            .await;
        }
        let done = fixture.client.result(run, DEADLINE).await.context("the run does not end")?;
        ensure!(done.status == Status::Completed && done.steps == self.steps(), "{done:#?}");
        let output: Value = done.output.context("no output")?.read()?;
        let number = if self.output().is_number() { output["number"].clone() } else { output };
        ensure!(number == self.output() && done.outputs.len() == 1, "the output is {number}");
        Ok(())
    }
}

async fn control(fixture: &Fixture, run: &RunKey, command: Control) {
    let what = format!("{run} accepts the command {}", command.verb());
    wait_until(&what, DEADLINE, async || fixture.client.control(run, command).await.is_ok()).await;
}

/// Checks that the run and its child are cancelled.
async fn check_cancelled(fixture: &Fixture, run: &RunKey) -> Result<()> {
    fixture.reached(run, "first").await;
    if fixture.client.status(run).await?.run.status == Status::Running {
        // The host died in another run, before it processed this one.
        control(fixture, run, Control::Cancel).await;
    }
    let done = fixture.client.result(run, DEADLINE).await.context("the run has no result")?;
    ensure!(done.status == Status::Cancelled && done.steps == 1, "{done:#?}");
    check_children_cancelled(fixture, run).await?;
    // The running attempts end, and change nothing.
    fixture.open(run, &["first", "second", "third"])
}

/// Checks that the run is cancelled after its clean-up.
async fn check_cleaned_up(fixture: &Fixture, run: &RunKey) -> Result<()> {
    fixture.reached(run, "rest").await;
    if fixture.client.status(run).await?.run.status == Status::Running {
        // The host died in another run, before it processed this one.
        control(fixture, run, Control::Cancel).await;
    }
    let done = fixture.client.result(run, DEADLINE).await.context("the run has no result")?;
    let reason = done.cancel.as_ref().map(|cancel| cancel.reason);
    ensure!(done.status == Status::Cancelled && done.steps == 2, "{done:#?}");
    ensure!(reason == Some(CancelReason::Requested), "{done:#?}");
    Ok(())
}

/// Checks that the run has failed at its deadline.
async fn check_late(fixture: &Fixture, run: &RunKey) -> Result<()> {
    let done = fixture.client.result(run, DEADLINE).await.context("the run has no result")?;
    let kind = done.error.as_ref().map(|error| error.kind.as_str());
    ensure!(done.status == Status::Failed && kind == Some("deadline") && done.steps == 1, "{done:#?}");
    Ok(())
}

/// Checks that the only child of the run is cancelled and that none of its steps is committed.
async fn check_children_cancelled(fixture: &Fixture, run: &RunKey) -> Result<()> {
    let children = RunsQuery { workflow: Some(WorkflowName::new("gated")?), ..RunsQuery::default() };
    wait_until("the children are cancelled", DEADLINE, async || {
        let found = fixture.client.runs(&children).await.ok()?.runs;
        let mine =
            found.iter().filter(|child| child.run_id.as_str().starts_with(&format!("{}_", run.run_id)));
        let states: Vec<_> = mine.map(|child| (child.status, child.steps)).collect();
        (states == [(Status::Cancelled, 0)]).then_some(())
    })
    .await;
    Ok(())
}

/// A host records a child run and dies before it starts the child. Then the parent is cancelled.
pub(super) async fn cancel_before_the_child_is_started(url: &str) -> Result<()> {
    let fixture = Fixture::new(url, "not started").await?;
    let run = Scenario::Cancel.start(&fixture, 0).await?;
    fixture.host(Some(FailPoint::ChildRecorded.as_str()))?.dies_at(FailPoint::ChildRecorded).await?;
    let waits = fixture.client.status(&run).await?;
    let child = waits.children.first().context("no child is recorded")?;
    ensure!(fixture.attempts(&run) == ["split"], "the child {child} is started");
    let _host = fixture.host(None)?;
    control(&fixture, &run, Control::Cancel).await;
    let done = fixture.client.result(&run, DEADLINE).await?;
    ensure!(done.status == Status::Cancelled, "{done:#?}");
    check_children_cancelled(&fixture, &run).await?;
    // The parent's ticket is delivered again. The host must not start the child.
    fixture.open(&run, &["first", "second", "third"])?;
    fixture.wait_until_nothing_is_left().await?;
    check_children_cancelled(&fixture, &run).await
}

/// The least and the greatest number of attempts at the steps of all runs.
fn expected_attempts(case: &Case, deaths: u64) -> (u64, u64) {
    let least = case.scenario.executed() * deaths;
    // With each death, every run may lose the attempts in progress.
    let alive = (1..=deaths).sum::<u64>();
    let more = match case.scenario {
        // It has one more death.
        Scenario::Sweep => case.wasted * (deaths - 1),
        // A run goes on after its own signal, until the host dies at the signal of another one.
        Scenario::Signal | Scenario::Early | Scenario::Untaken => deaths - 1,
        _ => 0,
    };
    (least, least + case.wasted * alive + more)
}

/// Starts `deaths` hosts that die, one after the other, and then one that does not.
pub(super) async fn run(url: &str, case: &Case, deaths: usize) -> Result<()> {
    let fixture = Fixture::new(url, case.point.as_str()).await?;
    let scenario = case.scenario;
    let mut runs = Vec::new();
    if scenario == Scenario::Sweep {
        for nth in 0..deaths {
            runs.push(scenario.start(&fixture, nth).await?);
        }
        let mut host = fixture.host(Some(&format!("committed@{deaths}")))?;
        host.dies_at(FailPoint::Committed).await?;
        fixture.remove_tickets().await?;
    }
    for nth in 0..deaths {
        if scenario != Scenario::Sweep {
            runs.push(scenario.start(&fixture, nth).await?);
        }
        let mut host: Host = fixture.host(Some(case.point.as_str()))?;
        let run = &runs[nth];
        let provoked = async {
            scenario.provoke(&fixture, run).await?;
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            died = host.dies_at(case.point) => died?,
            provoked = provoked => provoked?,
        }
        if scenario == Scenario::Early {
            scenario.publish_start(&fixture, run.run_id.as_str()).await?;
        }
    }
    let _host = fixture.host(None)?;
    let mut executed = 0;
    for run in &runs {
        scenario.finish(&fixture, run).await?;
    }
    fixture.wait_until_nothing_is_left().await?;
    if scenario.has_signals() {
        asked::check_dead_letters(&fixture, if scenario == Scenario::Untaken { deaths } else { 0 }).await?;
    }
    for run in &runs {
        executed += fixture.attempts(run).len() as u64;
    }
    let (least, most) = expected_attempts(case, deaths as u64);
    ensure!((least..=most).contains(&executed), "{executed} attempts, expected {least} to {most}");
    Ok(())
}
