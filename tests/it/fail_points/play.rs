//! What is played while hosts die, and what must have become of it in the end.

use super::{
    cases::Case,
    stage::{Host, Stage},
};
use crate::support::DEADLINE;
use anyhow::{Context, Result, ensure};
use jetway::{RunKey, WorkflowName, client::RunsQuery, engine::Control, run::Status};
use jetway_engine::fail_point::FailPoint;
use jetway_testing::wait_until;
use serde_json::{Value, json};

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    /// Three steps, one after the other.
    Chain,
    /// Four branches and a join.
    Fan,
    /// Sixty branches whose payloads are beside the snapshot, and a join.
    Wide,
    /// Two child runs and a join.
    Children,
    /// A run is cancelled while its child run goes on.
    Cancel,
    /// A run is paused, and resumed when the host is back.
    Pause,
    /// A paused run is resumed when none of its items has a ticket.
    Resume,
    /// All tickets of a run are lost.
    Sweep,
}

impl Play {
    fn workflow(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Fan | Self::Wide | Self::Sweep => "fan",
            Self::Children | Self::Cancel => "family",
            Self::Pause | Self::Resume => "gated",
        }
    }

    /// The number that the workflow is started with, and the bytes of each branch.
    fn input(self) -> (u64, usize) {
        match self {
            Self::Chain | Self::Pause | Self::Resume => (10, 0),
            Self::Fan | Self::Sweep => (4, 0),
            Self::Wide => (60, 2000),
            Self::Children => (2, 0),
            Self::Cancel => (1, 0),
        }
    }

    /// How many steps of a run and of its children are committed, those that wait for a child not among them.
    pub(super) fn committed(self) -> u64 {
        match self {
            Self::Chain | Self::Pause | Self::Resume => 3,
            Self::Fan | Self::Sweep => 1 + 4 + 1,
            Self::Wide => 1 + 60 + 1,
            Self::Children => 1 + 2 * 3 + 1,
            Self::Cancel => 1,
        }
    }

    /// How many attempts there are where no host dies: the cancelled run has one that comes to nothing.
    pub(super) fn executed(self) -> u64 {
        self.committed() + u64::from(self == Self::Cancel)
    }

    /// The steps that the record of the run itself counts.
    fn steps(self) -> u64 {
        match self {
            Self::Children => 1 + 2 + 1,
            _ => self.committed(),
        }
    }

    /// The output: of the numbers, and of the context, which counts the steps.
    fn output(self) -> Value {
        match self {
            Self::Chain => json!([12, 3]),
            Self::Fan | Self::Sweep => json!([12, 6]),
            Self::Wide => json!([3540, 62]),
            Self::Children => json!([3 + 4, 2]),
            Self::Pause | Self::Resume => json!(13),
            Self::Cancel => Value::Null,
        }
    }

    /// Starts the `nth` run of this play.
    async fn start(self, stage: &Stage, nth: usize) -> Result<RunKey> {
        let (number, bytes) = self.input();
        let run = stage.start(self.workflow(), &format!("r{nth}"), number, bytes).await?;
        match self {
            Self::Cancel | Self::Pause => {}
            Self::Resume => stage.open(&run, &["second", "third"])?,
            _ => stage.open(&run, &["first", "second", "third"])?,
        }
        Ok(run)
    }

    /// Does to a run what brings the host to its fail point.
    async fn provoke(self, stage: &Stage, run: &RunKey) -> Result<()> {
        match self {
            Self::Chain | Self::Fan | Self::Wide | Self::Children | Self::Sweep => {}
            Self::Cancel => {
                stage.reached(run, "first").await;
                tell(stage, run, Control::Cancel).await;
            }
            Self::Pause => {
                stage.reached(run, "first").await;
                tell(stage, run, Control::Pause).await;
            }
            Self::Resume => {
                stage.reached(run, "first").await;
                tell(stage, run, Control::Pause).await;
                stage.open(run, &["first"])?;
                // The second item has given its ticket up.
                wait_until("no item has a ticket", DEADLINE, async || {
                    let steps = stage.client.status(run).await.ok()?.run.steps;
                    (steps == 1 && stage.tickets().await.ok()? == 0).then_some(())
                })
                .await;
                tell(stage, run, Control::Resume).await;
            }
        }
        Ok(())
    }

    /// Does what is left to be done to a run when the host is back, and looks at what became of it.
    async fn finish(self, stage: &Stage, run: &RunKey) -> Result<()> {
        match self {
            Self::Cancel => return cancelled(stage, run).await,
            Self::Pause => {
                let paused = stage.client.status(run).await?;
                ensure!((paused.run.status, paused.run.steps) == (Status::Paused, 0), "{paused:?}");
                stage.open(run, &["first", "second", "third"])?;
                tell(stage, run, Control::Resume).await;
            }
            // The second host may have died of the first run before it came to this one.
            Self::Resume => stage.open(run, &["first"])?,
            _ => {}
        }
        if self == Self::Resume {
            wait_until("the run is not paused", DEADLINE, async || {
                let paused = stage.client.status(run).await.ok()?.run.status == Status::Paused;
                if paused {
                    tell(stage, run, Control::Resume).await;
                }
                (!paused).then_some(())
            })
            .await;
        }
        let done = stage.client.result(run, DEADLINE).await.context("the run comes to no end")?;
        ensure!(done.status == Status::Completed && done.steps == self.steps(), "{done:#?}");
        let output = done.output.context("no output")?;
        let number = if self.output().is_number() { output["number"].clone() } else { output };
        ensure!(number == self.output() && done.outputs.len() == 1, "the output is {number}");
        Ok(())
    }
}

async fn tell(stage: &Stage, run: &RunKey, control: Control) {
    let what = format!("{run} is told to {}", control.verb());
    wait_until(&what, DEADLINE, async || stage.client.control(run, control).await.is_ok()).await;
}

/// The run and its child are cancelled, by whomever.
async fn cancelled(stage: &Stage, run: &RunKey) -> Result<()> {
    stage.reached(run, "first").await;
    if stage.client.status(run).await?.run.status == Status::Running {
        // The host died of another run before it came to this one.
        tell(stage, run, Control::Cancel).await;
    }
    let done = stage.client.result(run, DEADLINE).await.context("the run has no result")?;
    ensure!(done.status == Status::Cancelled && done.steps == 1, "{done:#?}");
    children_cancelled(stage, run).await?;
    // The attempts that are under way end, and change nothing.
    stage.open(run, &["first", "second", "third"])
}

/// The only child of the run is cancelled, and nothing of it is committed.
async fn children_cancelled(stage: &Stage, run: &RunKey) -> Result<()> {
    let children = RunsQuery { workflow: Some(WorkflowName::new("gated")?), ..RunsQuery::default() };
    wait_until("the children are cancelled", DEADLINE, async || {
        let found = stage.client.runs(&children).await.ok()?.runs;
        let mine =
            found.iter().filter(|child| child.run_id.as_str().starts_with(&format!("{}_", run.run_id)));
        let states: Vec<_> = mine.map(|child| (child.status, child.steps)).collect();
        (states == [(Status::Cancelled, 0)]).then_some(())
    })
    .await;
    Ok(())
}

/// A host records a child run and dies before it starts it; then the parent is cancelled.
pub(super) async fn cancelled_before_the_child_is_started(url: &str) -> Result<()> {
    let stage = Stage::new(url, "never begun").await?;
    let run = Play::Cancel.start(&stage, 0).await?;
    stage.host(Some(FailPoint::ChildRecorded.as_str()))?.dies_at(FailPoint::ChildRecorded).await?;
    let waits = stage.client.status(&run).await?;
    let child = waits.children.first().context("no child is recorded")?;
    ensure!(stage.attempts(&run) == ["split"], "the child {child} is started");
    let _host = stage.host(None)?;
    tell(&stage, &run, Control::Cancel).await;
    let done = stage.client.result(&run, DEADLINE).await?;
    ensure!(done.status == Status::Cancelled, "{done:#?}");
    children_cancelled(&stage, &run).await?;
    // The parent's ticket comes again, to whoever would start the child.
    stage.open(&run, &["first", "second", "third"])?;
    stage.is_tidy().await?;
    children_cancelled(&stage, &run).await
}

/// Makes hosts die, one after the other, and one that lives carry on.
pub(super) async fn play(url: &str, case: &Case, deaths: usize) -> Result<()> {
    let stage = Stage::new(url, case.point.as_str()).await?;
    let play = case.play;
    let mut runs = Vec::new();
    if play == Play::Sweep {
        for nth in 0..deaths {
            runs.push(play.start(&stage, nth).await?);
        }
        let mut host = stage.host(Some(&format!("committed@{deaths}")))?;
        host.dies_at(FailPoint::Committed).await?;
        stage.lose_tickets().await?;
    }
    for nth in 0..deaths {
        if play != Play::Sweep {
            runs.push(play.start(&stage, nth).await?);
        }
        let mut host: Host = stage.host(Some(case.point.as_str()))?;
        let run = &runs[nth];
        let provoked = async {
            play.provoke(&stage, run).await?;
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            died = host.dies_at(case.point) => died?,
            provoked = provoked => provoked?,
        }
    }
    let _host = stage.host(None)?;
    let mut executed = 0;
    for run in &runs {
        play.finish(&stage, run).await?;
    }
    stage.is_tidy().await?;
    for run in &runs {
        executed += stage.attempts(run).len() as u64;
    }
    // Each death may cost every run the attempts that were under way; the sweep's play begins with one more.
    let (count, alive) = (deaths as u64, (1..=deaths as u64).sum::<u64>());
    let before = if play == Play::Sweep { case.in_vain * (count - 1) } else { 0 };
    let (least, most) = (play.executed() * count, play.executed() * count + case.in_vain * alive + before);
    ensure!((least..=most).contains(&executed), "{executed} attempts, and not {least} to {most}");
    Ok(())
}
