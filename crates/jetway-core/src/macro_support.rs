//! What the code that `node!`, `workflow!` and `derive(Merge)` generate calls. No interface: it changes without notice.

pub use crate::panics::guarded;
pub use crate::{
    Failure, Merge, Node, Transition, WorkItem, Workflow, WorkflowCtx,
    nodes::retry::retried,
    outcome::{Emission, Outcome},
};
pub use jetway_state::{EdgeKind, Error, Graph, GraphEdge, GraphNode, ItemId};
pub use {async_trait, serde};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

/// Follows a node's answer along its edges: `route` says what one value leads to.
pub fn follow<V, WI, O>(
    answer: Result<Transition<V>, Error>,
    mut route: impl FnMut(V) -> Emission<WI, O>,
) -> Outcome<WI, O> {
    match answer {
        Ok(Transition::Next(value)) => Outcome::Next(route(value)),
        Ok(Transition::NextAll(values)) => Outcome::NextAll(values.into_iter().map(route).collect()),
        Ok(Transition::Hold) => Outcome::Hold,
        Ok(Transition::Abort(error)) | Err(error) => Outcome::Failed(error),
    }
}

/// Follows the `on_failure` edge where the node failed. A node that was cancelled did not fail.
pub fn caught<WI, O>(outcome: Outcome<WI, O>, fallbacks: impl FnOnce(&Error) -> Vec<WI>) -> Outcome<WI, O> {
    match outcome {
        Outcome::Failed(error) if !matches!(error, Error::Cancelled) => {
            let emission = Emission::to(fallbacks(&error));
            Outcome::Handled { error, emission }
        }
        Outcome::Next(_)
        | Outcome::NextAll(_)
        | Outcome::Hold
        | Outcome::Handled { .. }
        | Outcome::Failed(_) => outcome,
    }
}

/// The input of a node of type `N`: what a work item is made of.
#[diagnostic::on_unimplemented(
    message = "node `{N}` takes `{Self}`, which cannot be kept in the record of a run",
    label = "`{Self}` lacks one of Debug, Clone, PartialEq, Serialize and Deserialize",
    note = "derive for `{Self}` those of Debug, Clone, PartialEq, serde::Serialize and serde::Deserialize that it lacks"
)]
pub trait InputOf<N: ?Sized> {}

#[diagnostic::do_not_recommend]
impl<N: ?Sized, T: Debug + Clone + PartialEq + Serialize + DeserializeOwned> InputOf<N> for T {}

/// Asks for what the input of a node must have.
pub const fn is_input<N: ?Sized, I: InputOf<N>>() {}

/// The input of a gathering node.
#[diagnostic::on_unimplemented(
    message = "a gathering node takes a `Vec`, not `{Self}`",
    note = "the input of a node with #[gather] is `Vec<T>`, where `T` is what each edge to it carries"
)]
pub trait Gathers: Sized {
    /// What each edge carries.
    type Value;

    /// The input with one value.
    fn one(value: Self::Value) -> Self;

    /// The input with the values of all inputs, in order.
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

/// Reads the two fields of a work item: its id, and the input of its node.
///
/// # Errors
/// What the deserializer says.
pub fn id_and_input<'de, D, I>(deserializer: D) -> Result<(String, I), D::Error>
where
    D: Deserializer<'de>,
    I: Deserialize<'de>,
{
    Deserialize::deserialize(deserializer)
}

/// A graph's drawing, for the life of the process.
///
/// Drawings are told apart by their text: every type of workflow has its own, every instance of a generic one too, and
/// drawing one again takes no further memory.
pub fn drawn(graph: &Graph) -> &'static str {
    static DRAWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let dot = graph.to_dot();
    // Whoever panicked with the lock in hand has left a whole set behind.
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = drawn.get(dot.as_str()) {
        return kept;
    }
    let kept: &'static str = Box::leak(dot.into_boxed_str());
    drawn.insert(kept);
    kept
}

/// An edge of a graph.
pub fn graph_edge(from: &str, to: Option<&str>, kind: EdgeKind) -> GraphEdge {
    GraphEdge { from: from.to_owned(), to: to.map(ToOwned::to_owned), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_but_a_cancellation_is_handled() {
        let fail = |error| caught::<&str, ()>(Outcome::Failed(error), |_| vec!["fallback"]);
        assert!(matches!(fail(Error::Cancelled), Outcome::Failed(Error::Cancelled)));
        for error in
            [Error::Panicked(String::new()), Error::Timeout(std::time::Duration::ZERO), Error::NoOutput]
        {
            assert!(
                matches!(fail(error), Outcome::Handled { emission, .. } if emission.items == ["fallback"])
            );
        }
        assert!(matches!(caught::<&str, ()>(Outcome::Hold, |_| Vec::new()), Outcome::Hold));
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
