//! What follows a failed attempt on a host: another one, a wait for a person, or the failure of the step.

use super::Typed;
use crate::{
    Context, Merge, Workflow,
    retry_policy::{Decision, Exhausted, FailedAttempt, NoMore, RetryPolicy, decide},
    step::{AnyWorkflow, AttemptResult, RetryOf, Task},
    step_rules::StepRules,
};
use jetway_state::{
    Error, Timestamp,
    run::{AttemptId, EncodedOutcome, RunError},
};
use std::time::Duration;

/// An attempt that failed.
pub(super) struct Failed<'a> {
    pub(super) task: &'a Task,
    pub(super) attempt: &'a AttemptId,
    /// When it began.
    pub(super) began: Timestamp,
    pub(super) rules: &'a StepRules,
    pub(super) error: Error,
}

impl<C, W> Typed<C, W>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    /// Decides whether another attempt follows. `produced` is the outcome of the step if none does: its error says then why.
    pub(super) fn after_failure(
        &self,
        failed: Failed<'_>,
        policy: Option<&RetryPolicy>,
        produced: &mut EncodedOutcome,
    ) -> Option<RetryOf> {
        let Failed { task, attempt, began, rules, error } = failed;
        let seen = FailedAttempt {
            error: &error,
            failures: task.failures.saturating_add(1),
            first_at: task.first_at.unwrap_or(began),
            now: task.clock.now(),
            until: rules.within.map(|limit| task.ready_since.after(limit)),
        };
        let decision = decide(policy, &seen, rand::random());
        let (why, pauses) = match decision {
            Decision::Again(delay) => return Some(RetryOf::After(error, delay)),
            Decision::Fail(why) => (why, false),
            Decision::Pause(why) => (why, is_unhandled(produced)),
        };
        let error = match (why, rules.within) {
            (NoMore::TooLate, Some(limit)) => too_late(limit, error),
            _ => error,
        };
        let note = if matches!(why, NoMore::NoTime { .. }) { why.to_string() } else { String::new() };
        if pauses {
            return Some(RetryOf::WhenAsked(error, note));
        }
        match why {
            NoMore::Attempts => {}
            NoMore::NoTime { .. } => add_note(produced, &note),
            NoMore::TooLate => *produced = self.failure(&task.input, attempt, &error, task.clock.now()),
            NoMore::OutOfRange => {
                *produced = self.failure(&task.input, attempt, &Error::TimeOutOfRange, task.clock.now());
                add_note(produced, &format!("the node had failed: {error}"));
            }
        }
        None
    }

    /// The result of an attempt that is not made: too many before it have ended with the loss of their host.
    pub(super) fn after_losses(&self, task: &Task, lost: u32, rules: &StepRules) -> AttemptResult {
        let error = Error::HostsLost(lost);
        let produced = self.failure(&task.input, &task.attempt_id(), &error, task.clock.now());
        let policy = rules.retry.as_ref().or(task.retry.as_ref());
        let pauses = policy.is_some_and(|policy| policy.exhausted == Exhausted::Pause);
        let retry = (pauses && is_unhandled(&produced)).then(|| RetryOf::WhenAsked(error, String::new()));
        AttemptResult { produced, context: None, cancelled: false, requested_child: None, retry }
    }
}

/// Whether no `on_failure` edge handles the error.
fn is_unhandled(produced: &EncodedOutcome) -> bool {
    matches!(produced, EncodedOutcome::Failed(_))
}

/// The error of a step that cannot be done in time. It names that of its last attempt.
fn too_late(limit: Duration, error: Error) -> Error {
    match error {
        error @ Error::NotDoneWithin { .. } => error,
        error => Error::NotDoneWithin { limit, last: Some(error.to_string()) },
    }
}

fn add_note(produced: &mut EncodedOutcome, note: &str) {
    if let EncodedOutcome::Failed(error) | EncodedOutcome::Handled(error, _) = produced {
        error.message = RunError::bounded(format!("{}; {note}", error.message));
    }
}
