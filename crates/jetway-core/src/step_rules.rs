//! [`StepRules`]: the retry policy and the time limits that a workflow gives to the steps of a node.

use crate::retry_policy::{BadPolicy, RetryPolicy};
use jetway_state::{
    Graph,
    run::{BadDeadline, RunDeadline},
};
use std::time::Duration;

/// The retry policy and the time limits of the steps of one node. `workflow!` makes it from the attributes of the node.
#[derive(Debug, Clone, Default)]
pub struct StepRules {
    /// The policy of the node, or of its workflow.
    pub retry: Option<RetryPolicy>,
    /// The longest time of one attempt.
    pub timeout: Option<Duration>,
    /// The longest time from when the step is ready to when it is done, over all its attempts.
    pub within: Option<Duration>,
    /// The longest time between two [heartbeats](crate::step::StepScope::heartbeat) of an attempt.
    pub heartbeat: Option<Duration>,
}

/// Rules that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}workflow {workflow:?}: {reason}", node.as_ref().map_or_else(String::new, |node| format!("node {node:?} of ")))]
pub struct BadRules {
    /// The workflow.
    pub workflow: String,
    /// The node; `None` for a rule of the whole workflow.
    pub node: Option<String>,
    /// What is wrong.
    pub reason: BadRule,
}

/// Why the rules of a node are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRule {
    /// The retry policy.
    #[error(transparent)]
    Retry(#[from] BadPolicy),
    /// A limit of no time.
    #[error("a `{0}` of zero: no attempt could succeed")]
    NoTime(&'static str),
    /// The deadline of runs.
    #[error(transparent)]
    Deadline(#[from] BadDeadline),
}

impl StepRules {
    /// Checks the rules.
    ///
    /// # Errors
    /// See [`BadRule`].
    pub fn check(&self) -> Result<(), BadRule> {
        if let Some(policy) = &self.retry {
            policy.check()?;
        }
        let limits = [("timeout", self.timeout), ("within", self.within), ("heartbeat", self.heartbeat)];
        match limits.into_iter().find(|(_, limit)| limit.is_some_and(|limit| limit.is_zero())) {
            Some((name, _)) => Err(BadRule::NoTime(name)),
            None => Ok(()),
        }
    }
}

/// Checks the rules of every node of a workflow, and the deadline of its runs.
///
/// # Errors
/// See [`BadRules`].
pub(crate) fn check_rules(
    graph: &Graph,
    deadline: Option<Duration>,
    rules_of: impl Fn(&str) -> StepRules,
) -> Result<(), BadRules> {
    let bad = |node: Option<&str>, reason| BadRules {
        workflow: graph.name.clone(),
        node: node.map(str::to_owned),
        reason,
    };
    RunDeadline::OfWorkflow.check(deadline).map_err(|reason| bad(None, reason.into()))?;
    graph
        .nodes
        .iter()
        .try_for_each(|node| rules_of(&node.name).check().map_err(|reason| bad(Some(&node.name), reason)))
}
