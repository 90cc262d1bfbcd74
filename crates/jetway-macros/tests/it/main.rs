//! Compiles and runs the code that the macros generate.

mod adaptors;
mod composite;
mod direct;
mod failure;
mod floxide;
mod gather;
mod generics;
mod item;
mod merge;
mod node;
mod shape;

use jetway_core::{Context, Error, Outcome, Workflow, WorkflowCtx};

/// The result of one item: the successors as they print, the outputs, and the error if there is one.
#[derive(Debug, Default, PartialEq)]
struct AttemptResult<O> {
    to: Vec<String>,
    outputs: Vec<O>,
    error: Option<Error>,
}

/// Runs one item the way the engine does.
async fn attempt<C: Context, W: Workflow<C>>(
    workflow: &W,
    ctx: &WorkflowCtx<C>,
    item: W::WorkItem,
) -> AttemptResult<W::Output> {
    let (emissions, error) = match workflow.attempt_work_item(ctx, item).await {
        Outcome::Next(emission) => (vec![emission], None),
        Outcome::NextLater(_, emission) => (vec![emission], None),
        Outcome::NextAll(emissions) => (emissions, None),
        Outcome::Hold | Outcome::WaitFor(_) | Outcome::ContinueAsNew(_) => (Vec::new(), None),
        Outcome::Handled { error, emission } => (vec![emission], Some(error)),
        Outcome::Failed(error) => (Vec::new(), Some(error)),
    };
    let mut result = AttemptResult { to: Vec::new(), outputs: Vec::new(), error };
    for emission in emissions {
        result.to.extend(emission.items.iter().map(ToString::to_string));
        result.outputs.extend(emission.output);
    }
    result
}

/// A result with these successors, as they print.
fn to<O>(items: &[&str]) -> AttemptResult<O> {
    AttemptResult { to: items.iter().map(ToString::to_string).collect(), outputs: Vec::new(), error: None }
}

/// A result with these outputs.
fn out<O>(outputs: impl IntoIterator<Item = O>) -> AttemptResult<O> {
    AttemptResult { to: Vec::new(), outputs: outputs.into_iter().collect(), error: None }
}
