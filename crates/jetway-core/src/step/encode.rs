//! Encodes work items, outcomes and contexts for the snapshot.

use crate::{Emission, Outcome, WorkItem, outcome::no_new_run, panics::guarded_now};
use bytes::Bytes;
use jetway_state::{
    Error, Timestamp,
    run::{AttemptId, EncodedEmission, EncodedOutcome, EncodedOutput, RunInput, Successor},
    value,
};
use serde::{Serialize, de::DeserializeOwned};

/// Encodes an output: for clients, or for this process alone.
pub(crate) type EncodeOutput<O> = fn(&O) -> Result<EncodedOutput, Error>;

/// The input of a run: its first work item, encoded, and its encoded context.
pub(crate) fn run_input_of<WI: WorkItem>(item: WI, context: Bytes) -> Result<RunInput, Error> {
    let Successor { node, payload } = encode_item(item)?;
    Ok(RunInput { node, payload, context })
}

/// Encodes an item without its id: ids are derived, and the encoding of equal values must be equal.
fn encode_item<WI: WorkItem>(item: WI) -> Result<Successor, Error> {
    let node = item.node();
    let item = item.with_instance_id(String::new());
    let payload = value::write(&item, &format_args!("input of node {node:?}"))?;
    Ok(Successor { node, payload })
}

pub(crate) fn encode_emission<WI: WorkItem, O>(
    emission: Emission<WI, O>,
    encode_output: EncodeOutput<O>,
) -> Result<EncodedEmission, Error> {
    let successors = emission.items.into_iter().map(encode_item).collect::<Result<_, _>>()?;
    let output = emission.output.as_ref().map(encode_output).transpose()?;
    Ok(EncodedEmission { successors, output, starts: Vec::new() })
}

/// The encoded result of an attempt.
pub(crate) struct EncodedAttempt {
    pub(crate) produced: EncodedOutcome,
    /// The context after the attempt; `None` where it did not change, or where the attempt failed.
    pub(crate) context: Option<Bytes>,
    /// The error of a failed attempt, also where an `on_failure` edge handles it.
    pub(crate) error: Option<Error>,
}

impl EncodedAttempt {
    /// The run continues as new: its context is a fresh one.
    pub(crate) fn of_new_run(input: RunInput) -> Self {
        Self { produced: EncodedOutcome::ContinueAsNew(input), context: None, error: None }
    }
}

/// Encodes an outcome and the context after it. A value that cannot be encoded, or that its type cannot read again, is a
/// failed attempt, and so is a wait that ends more than 100 years after `now`. `fail` takes the node's `on_failure` edge.
pub(crate) fn encode<WI: WorkItem, O: Serialize + DeserializeOwned, C: Serialize + DeserializeOwned>(
    outcome: Outcome<WI, O>,
    context: &C,
    before: &Bytes,
    attempt: &AttemptId,
    now: Timestamp,
    fail: impl FnOnce(Error) -> Result<Outcome<WI, O>, Error>,
) -> EncodedAttempt {
    jetway_state::hop!("encode");
    let error = match &outcome {
        Outcome::Failed(error) | Outcome::Handled { error, .. } => Some(error.clone()),
        Outcome::Next(_)
        | Outcome::NextLater(..)
        | Outcome::NextAll(_)
        | Outcome::WaitFor(_)
        | Outcome::ContinueAsNew(_)
        | Outcome::Hold => None,
    };
    // Encoding calls code of the user, which may panic.
    let encoded = guarded_now(|| {
        let produced = encode_outcome(outcome, attempt, now, EncodedOutput::new)?;
        let context = changed_context(context, before, &produced)?;
        Ok((produced, context))
    });
    match (encoded, error) {
        (Ok((produced, context)), error) => EncodedAttempt { produced, context, error },
        (Err(refused), None) => {
            let produced = encode_failure(&refused, attempt, now, fail);
            EncodedAttempt { produced, context: None, error: Some(refused) }
        }
        // The node has failed already, and what its edge passes on cannot be kept.
        (Err(refused), Some(error)) => {
            let message = format!("{refused}; the node had failed: {error}");
            let produced = EncodedOutcome::Failed(attempt.error_of_kind(refused.kind(), message));
            EncodedAttempt { produced, context: None, error: Some(error) }
        }
    }
}

/// The outcome of an attempt whose result cannot be kept: the node's `on_failure` edge, if it has one.
pub(crate) fn encode_failure<WI: WorkItem, O: Serialize + DeserializeOwned>(
    error: &Error,
    attempt: &AttemptId,
    now: Timestamp,
    fail: impl FnOnce(Error) -> Result<Outcome<WI, O>, Error>,
) -> EncodedOutcome {
    let failed = error.clone();
    let handled = guarded_now(|| encode_outcome(fail(failed)?, attempt, now, EncodedOutput::new));
    handled.unwrap_or_else(|_| EncodedOutcome::Failed(attempt.error(error)))
}

/// The encoded context where the node changed it. Changes by a node that failed are dropped, and those by a node that waits and runs
/// again: a step is all or nothing.
fn changed_context<C: Serialize + DeserializeOwned>(
    context: &C,
    before: &Bytes,
    produced: &EncodedOutcome,
) -> Result<Option<Bytes>, Error> {
    if matches!(
        produced,
        EncodedOutcome::Failed(_) | EncodedOutcome::Handled(..) | EncodedOutcome::WaitFor(_)
    ) {
        return Ok(None);
    }
    let after = value::write_changed(context, Some(before), &"the context")?;
    Ok((after != *before).then_some(after))
}

pub(crate) fn encode_outcome<WI: WorkItem, O>(
    outcome: Outcome<WI, O>,
    attempt: &AttemptId,
    now: Timestamp,
    encode_output: EncodeOutput<O>,
) -> Result<EncodedOutcome, Error> {
    let encode_emission = |emission| encode_emission(emission, encode_output);
    Ok(match outcome {
        Outcome::Next(emission) => EncodedOutcome::Next(encode_emission(emission)?),
        Outcome::NextLater(later, emission) => {
            later.check(now)?;
            EncodedOutcome::NextLater(later, encode_emission(emission)?)
        }
        Outcome::NextAll(emissions) => {
            EncodedOutcome::NextAll(emissions.into_iter().map(encode_emission).collect::<Result<_, _>>()?)
        }
        Outcome::WaitFor(wait) => {
            let wanted = wait.wanted();
            wanted.until.map_or(Ok(()), |until| until.check(now))?;
            EncodedOutcome::WaitFor(wanted)
        }
        // Runners that can begin a run anew have done so by now.
        Outcome::ContinueAsNew(_) => return Err(no_new_run()),
        Outcome::Hold => EncodedOutcome::Hold,
        Outcome::Handled { error: handled, emission } => {
            EncodedOutcome::Handled(attempt.error(&handled), encode_emission(emission)?)
        }
        Outcome::Failed(failed) => EncodedOutcome::Failed(attempt.error(&failed)),
    })
}
