//! Functions and traits for the code that `node!`, `workflow!` and `derive(Merge)` generate. Not a public interface: it
//! changes without notice.

pub use crate::panics::guarded;
pub use crate::{
    Failure, Merge, Node, Transition, WorkItem, Workflow, WorkflowCtx,
    nodes::retry::retried_by_host,
    outcome::{Emission, Outcome},
    retry_policy::RetryPolicy,
    signal::SignalType,
    step::{LimitedNode, within_context},
    step_rules::StepRules,
};
pub use jetway_state::{EdgeKind, Error, Graph, GraphEdge, GraphNode, ItemId};
pub use {async_trait, serde};

use crate::{clock::not_before, step::step};
use jetway_state::run::Later;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

/// Turns the result of a node into an outcome. `route` maps one value along the edges of the graph.
pub fn follow<V, WI, O>(
    result: Result<Transition<V>, Error>,
    mut route: impl FnMut(V) -> Emission<WI, O>,
) -> Outcome<WI, O> {
    match result {
        Ok(Transition::Next(value)) => Outcome::Next(route(value)),
        Ok(Transition::NextAfter(duration, value)) => {
            Outcome::NextLater(Later::After(duration), route(value))
        }
        Ok(Transition::NextAt(time, value)) => Outcome::NextLater(Later::At(not_before(time)), route(value)),
        Ok(Transition::NextAll(values)) => Outcome::NextAll(values.into_iter().map(route).collect()),
        Ok(Transition::WaitFor(wait)) => Outcome::WaitFor(wait),
        Ok(Transition::ContinueAsNew(input)) => Outcome::ContinueAsNew(input),
        Ok(Transition::Hold) => Outcome::Hold,
        Ok(Transition::Abort(error)) => {
            // The node has given up.
            if let Some(step) = step() {
                step.refuse_retries();
            }
            Outcome::Failed(error)
        }
        Err(error) => Outcome::Failed(error),
    }
}

/// The outcome of a node, or where it failed that of its `on_failure` edge. A cancelled node has not failed.
pub fn or_failed<WI, O>(
    outcome: Outcome<WI, O>,
    fail: impl FnOnce(Error) -> Outcome<WI, O>,
) -> Outcome<WI, O> {
    match outcome {
        Outcome::Failed(error) if !matches!(error, Error::Cancelled) => fail(error),
        outcome => outcome,
    }
}

/// Takes the `on_failure` edge of a failed node. A cancelled node has not failed.
pub fn handle_failure<WI, O>(
    outcome: Outcome<WI, O>,
    targets: impl FnOnce(&Error) -> Vec<WI>,
) -> Outcome<WI, O> {
    match outcome {
        Outcome::Failed(error) if !matches!(error, Error::Cancelled) => {
            let emission = Emission::to(targets(&error));
            Outcome::Handled { error, emission }
        }
        Outcome::Next(_)
        | Outcome::NextLater(..)
        | Outcome::NextAll(_)
        | Outcome::WaitFor(_)
        | Outcome::ContinueAsNew(_)
        | Outcome::Hold
        | Outcome::Handled { .. }
        | Outcome::Failed(_) => outcome,
    }
}

/// The bounds of the input of a node of type `N`, with an error message that names the node.
#[diagnostic::on_unimplemented(
    message = "node `{N}` takes `{Self}`, which cannot be stored in a run's snapshot",
    label = "`{Self}` lacks one of Debug, Clone, PartialEq, Serialize and Deserialize",
    note = "derive for `{Self}` those of Debug, Clone, PartialEq, serde::Serialize and serde::Deserialize that it lacks"
)]
pub trait InputOf<N: ?Sized> {}

#[diagnostic::do_not_recommend]
impl<N: ?Sized, T: Debug + Clone + PartialEq + Serialize + DeserializeOwned> InputOf<N> for T {}

/// Checks at compile time that `I` can be the input of node `N`.
pub const fn is_input<N: ?Sized, I: InputOf<N>>() {}

/// The bounds of the input of a gathering node.
#[diagnostic::on_unimplemented(
    message = "a gathering node takes a `Vec`, not `{Self}`",
    note = "the input of a node with #[gather] is `Vec<T>`, where `T` is what each edge to it carries"
)]
pub trait Gathers: Sized {
    /// The type of one gathered value.
    type Value;

    /// An input of one value.
    fn one(value: Self::Value) -> Self;

    /// One input with the values of all inputs, in their order.
    fn all(inputs: Vec<Self>) -> Self;
}

impl<T> Gathers for Vec<T> {
    type Value = T;

    fn one(value: T) -> Self {
        vec![value]
    }

    fn all(inputs: Vec<Self>) -> Self {
        inputs.into_iter().flatten().collect()
    }
}

/// Deserializes the two fields of a work item: its id and the input of its node.
///
/// # Errors
/// The error of the deserializer.
pub fn id_and_input<'de, D, I>(deserializer: D) -> Result<(String, I), D::Error>
where
    D: Deserializer<'de>,
    I: Deserialize<'de>,
{
    Deserialize::deserialize(deserializer)
}

/// The DOT text of a graph, kept until the process ends.
///
/// Equal texts are kept once, so the memory is bounded by the number of workflow types.
pub fn drawn(graph: &Graph) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let dot = graph.to_dot();
    // The set is consistent even if a thread panicked while it held the lock.
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = all.get(dot.as_str()) {
        return kept;
    }
    let kept: &'static str = Box::leak(dot.into_boxed_str());
    all.insert(kept);
    kept
}

/// An edge of a graph.
pub fn graph_edge(from: &str, to: Option<&str>, kind: EdgeKind) -> GraphEdge {
    GraphEdge { from: from.to_owned(), to: to.map(ToOwned::to_owned), kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_failure_but_a_cancellation_is_handled() {
        let fail = |error| handle_failure::<&str, ()>(Outcome::Failed(error), |_| vec!["fallback"]);
        assert!(matches!(fail(Error::Cancelled), Outcome::Failed(Error::Cancelled)));
        for error in [Error::Panicked(String::new()), Error::Timeout(Duration::ZERO), Error::NoOutput] {
            assert!(
                matches!(fail(error), Outcome::Handled { emission, .. } if emission.items == ["fallback"])
            );
        }
        assert!(matches!(handle_failure::<&str, ()>(Outcome::Hold, |_| Vec::new()), Outcome::Hold));
    }

    #[test]
    fn a_drawing_is_kept_once() {
        let drawing = |name: &str| drawn(&Graph { nodes: vec![GraphNode::default()], ..Graph::opaque(name) });
        assert!(std::ptr::eq(drawing("one"), drawing("one")));
        assert_ne!(drawing("one"), drawing("other"));
    }

    #[test]
    fn gathered_inputs_keep_their_order() {
        assert_eq!(Vec::all(vec![Vec::one(1), vec![2, 3], Vec::new(), Vec::one(4)]), [1, 2, 3, 4]);
        assert!(Vec::<u8>::all(Vec::new()).is_empty());
    }
}
