//! A workflow that makes sense: every name is resolved, every rule is checked.

use crate::parse::{arm::Arm, head::Head, workflow::NodeField};
use proc_macro2::Ident;
use syn::{LitInt, Type};

/// A checked workflow.
pub(crate) struct Workflow {
    pub(crate) head: Head,
    /// The fields of the struct: nodes and retry policies, as declared.
    pub(crate) fields: Vec<NodeField>,
    pub(crate) context: Type,
    /// The type of the `output = Type;` clause.
    pub(crate) output: Option<Type>,
    pub(crate) name: String,
    /// The position of the start node in `nodes`.
    pub(crate) start: usize,
    /// The nodes, as declared.
    pub(crate) nodes: Vec<Node>,
}

/// A node of a checked workflow.
pub(crate) struct Node {
    pub(crate) ident: Ident,
    /// The node's name, as it stands in the first of its edges.
    pub(crate) edge: Ident,
    pub(crate) ty: Type,
    /// The variant of the work item enum.
    pub(crate) variant: Ident,
    pub(crate) gathers: bool,
    /// How many of its items are in flight in one run at any time.
    pub(crate) at_most: Option<LitInt>,
    /// The field with the node's retry policy.
    pub(crate) policy: Option<Ident>,
    pub(crate) success: Success,
    /// Where the input goes when the node fails; nowhere if this is empty.
    pub(crate) fallbacks: Vec<Target>,
    /// Arms beside a direct edge of the same node: drawn, never taken.
    pub(crate) shadowed: Option<Shadowed>,
}

/// Where a node's values go.
pub(crate) enum Success {
    /// Out of the run.
    Output,
    /// To each of these.
    Direct(Vec<Target>),
    /// Wherever the arm says that matches.
    Match {
        /// The node's name, as it stands in the edge.
        from: Ident,
        arms: Vec<Arm<Target>>,
    },
}

/// The composite edge of a node whose direct edge wins.
pub(crate) struct Shadowed {
    /// The node's name, as it stands in the edge.
    pub(crate) from: Ident,
    pub(crate) arms: Vec<Arm<Target>>,
}

/// A successor.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its position among the nodes.
    pub(crate) node: usize,
    /// Its name, as it stands in the edge.
    pub(crate) ident: Ident,
}

impl Workflow {
    /// The node that a target names.
    pub(crate) fn node(&self, target: &Target) -> &Node {
        &self.nodes[target.node]
    }
}

impl Node {
    /// Whether the node's values are outputs of the run.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.success, Success::Output)
    }

    /// The node's direct successors.
    pub(crate) fn direct(&self) -> &[Target] {
        match &self.success {
            Success::Direct(to) => to,
            Success::Output | Success::Match { .. } => &[],
        }
    }

    /// The successors that a value can come to.
    pub(crate) fn value_successors(&self) -> impl Iterator<Item = usize> {
        let arms = match &self.success {
            Success::Match { arms, .. } => arms.as_slice(),
            Success::Output | Success::Direct(_) => &[],
        };
        let arms = arms.iter().flat_map(|arm| &arm.to);
        self.direct().iter().chain(&self.fallbacks).chain(arms).map(|target| target.node)
    }

    /// Every successor by any edge, drawn ones too.
    pub(crate) fn successors(&self) -> impl Iterator<Item = usize> {
        let drawn = self.shadowed.iter().flat_map(|shadowed| &shadowed.arms).flat_map(|arm| &arm.to);
        self.value_successors().chain(drawn.map(|target| target.node))
    }

    /// Whether failures are tried again: by the policy of the node's field, or by its type.
    pub(crate) fn is_retried(&self) -> bool {
        let wrapped = match &self.ty {
            Type::Path(ty) => ty.path.segments.last().is_some_and(|last| last.ident == "RetryNode"),
            _ => false,
        };
        self.policy.is_some() || wrapped
    }

    /// Whether a value of this node can leave the run.
    pub(crate) fn is_exit(&self) -> bool {
        let out = |arms: &[Arm<Target>]| arms.iter().any(|arm| arm.to.is_empty());
        match &self.success {
            Success::Output => true,
            Success::Direct(_) => false,
            Success::Match { arms, .. } => out(arms),
        }
    }
}
