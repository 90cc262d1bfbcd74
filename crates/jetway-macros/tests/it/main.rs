//! What the macros generate, compiled and run.

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

/// What came of one item: the successors as they print, the outputs, and the error where there is one.
#[derive(Debug, Default, PartialEq)]
struct Came<O> {
    to: Vec<String>,
    outputs: Vec<O>,
    error: Option<Error>,
}

/// Runs one item through the engine's entry.
async fn attempt<C: Context, W: Workflow<C>>(
    workflow: &W,
    ctx: &WorkflowCtx<C>,
    item: W::WorkItem,
) -> Came<W::Output> {
    let (emissions, error) = match workflow.attempt_work_item(ctx, item).await {
        Outcome::Next(emission) => (vec![emission], None),
        Outcome::NextAll(emissions) => (emissions, None),
        Outcome::Hold => (Vec::new(), None),
        Outcome::Handled { error, emission } => (vec![emission], Some(error)),
        Outcome::Failed(error) => (Vec::new(), Some(error)),
    };
    let mut came = Came { to: Vec::new(), outputs: Vec::new(), error };
    for emission in emissions {
        came.to.extend(emission.items.iter().map(ToString::to_string));
        came.outputs.extend(emission.output);
    }
    came
}

/// The successors as they print.
fn to<O>(items: &[&str]) -> Came<O> {
    Came { to: items.iter().map(ToString::to_string).collect(), outputs: Vec::new(), error: None }
}

/// Outputs of the run.
fn out<O>(outputs: impl IntoIterator<Item = O>) -> Came<O> {
    Came { to: Vec::new(), outputs: outputs.into_iter().collect(), error: None }
}
