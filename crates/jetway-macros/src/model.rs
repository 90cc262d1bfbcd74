//! A valid workflow: every name is resolved, every rule is checked.

use crate::parse::{
    arm::Arm,
    head::Head,
    limit::{Limit, Limits},
    workflow::NodeField,
};
use proc_macro2::Ident;
use syn::{Expr, LitInt, Type};

/// A valid workflow.
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
    /// The retry policy of the nodes that have none.
    pub(crate) policy: Option<Policy>,
    /// How long a run may take.
    pub(crate) deadline: Option<Limit>,
}

/// The retry policy of a workflow.
pub(crate) enum Policy {
    /// A field of it.
    Field(Ident),
    /// An expression.
    Given(Box<Expr>),
}

/// A node of a valid workflow.
pub(crate) struct Node {
    pub(crate) ident: Ident,
    /// The node's name in its first edge.
    pub(crate) edge: Ident,
    pub(crate) ty: Type,
    /// The variant of the work item enum.
    pub(crate) variant: Ident,
    pub(crate) gathers: bool,
    /// The maximum number of its items in flight in one run.
    pub(crate) at_most: Option<LitInt>,
    /// The field with the node's retry policy.
    pub(crate) policy: Option<Ident>,
    /// Its time limits.
    pub(crate) limits: Limits,
    pub(crate) success: Success,
    /// Where the input goes when the node fails; empty without an `on_failure` edge.
    pub(crate) fallbacks: Vec<Target>,
    /// Where the input goes when the run is cancelled before the node has run; empty without an `on_cancel` edge.
    pub(crate) clean_up: Vec<Target>,
    /// Whether `on_cancel` edges alone lead to the node: what it outputs is no output of the run.
    pub(crate) only_cleans_up: bool,
    /// Arms of a node that also has a direct edge: drawn, never taken.
    pub(crate) shadowed: Option<Shadowed>,
}

/// Where the outputs of a node go.
pub(crate) enum Success {
    /// To the output of the run.
    Output,
    /// To each of these.
    Direct(Vec<Target>),
    /// Where the matching arm leads.
    Match {
        /// The node's name in the edge.
        from: Ident,
        arms: Vec<Arm<Target>>,
    },
}

/// A composite edge that is ignored, because the node has a direct edge.
pub(crate) struct Shadowed {
    /// The node's name in the edge.
    pub(crate) from: Ident,
    pub(crate) arms: Vec<Arm<Target>>,
}

/// A successor.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its position among the nodes.
    pub(crate) node: usize,
    /// Its name in the edge.
    pub(crate) ident: Ident,
}

impl Workflow {
    /// The node that a target names.
    pub(crate) fn node(&self, target: &Target) -> &Node {
        &self.nodes[target.node]
    }
}

impl Node {
    /// Whether the outputs of the node are outputs of the run.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.success, Success::Output) && !self.only_cleans_up
    }

    /// The node's direct successors.
    pub(crate) fn direct(&self) -> &[Target] {
        match &self.success {
            Success::Direct(to) => to,
            Success::Output | Success::Match { .. } => &[],
        }
    }

    /// The successors that a value can reach.
    pub(crate) fn value_successors(&self) -> impl Iterator<Item = usize> {
        let arms = match &self.success {
            Success::Match { arms, .. } => arms.as_slice(),
            Success::Output | Success::Direct(_) => &[],
        };
        let arms = arms.iter().flat_map(|arm| &arm.to);
        self.direct().iter().chain(&self.fallbacks).chain(arms).map(|target| target.node)
    }

    /// The successors by any edge that is not an `on_cancel` edge, including arms that are only drawn.
    pub(crate) fn successors_without_cancel(&self) -> impl Iterator<Item = usize> {
        let drawn = self.shadowed.iter().flat_map(|shadowed| &shadowed.arms).flat_map(|arm| &arm.to);
        self.value_successors().chain(drawn.map(|target| target.node))
    }

    /// The successors by any edge, including arms that are only drawn.
    pub(crate) fn successors(&self) -> impl Iterator<Item = usize> {
        self.successors_without_cancel().chain(self.clean_up.iter().map(|target| target.node))
    }

    /// Whether failures are retried, by the policy of the field or by the type of the node.
    pub(crate) fn is_retried(&self) -> bool {
        let wrapped = match &self.ty {
            Type::Path(ty) => ty.path.segments.last().is_some_and(|last| last.ident == "RetryNode"),
            _ => false,
        };
        self.policy.is_some() || wrapped
    }

    /// Whether an output of this node can be an output of the run.
    pub(crate) fn is_exit(&self) -> bool {
        let out = |arms: &[Arm<Target>]| arms.iter().any(|arm| arm.to.is_empty());
        match &self.success {
            Success::Output => true,
            Success::Direct(_) => false,
            Success::Match { arms, .. } => out(arms),
        }
    }
}
