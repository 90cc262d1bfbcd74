//! Encodes work items, outcomes and contexts for the snapshot.

use crate::{Emission, Outcome, WorkItem, panics::guarded_now};
use bytes::Bytes;
use jetway_state::{
    Error, codec,
    run::{AttemptId, EncodedEmission, EncodedOutcome, RunInput, Successor},
};
use serde::Serialize;

/// The input of a run: its first work item, encoded, and its encoded context.
pub(crate) fn run_input_of<WI: WorkItem>(item: WI, context: Bytes) -> Result<RunInput, Error> {
    let Successor { node, payload } = encode_item(item)?;
    Ok(RunInput { node, payload, context })
}

/// Encodes an item without its id: ids are derived, and the encoding of equal values must be equal.
fn encode_item<WI: WorkItem>(item: WI) -> Result<Successor, Error> {
    let node = item.node();
    let item = item.with_instance_id(String::new());
    let payload = codec::encode(&item, &format!("input of node {node:?}"))?;
    Ok(Successor { node, payload })
}

fn encode_emission<WI: WorkItem, O: Serialize>(emission: Emission<WI, O>) -> Result<EncodedEmission, Error> {
    let successors = emission.items.into_iter().map(encode_item).collect::<Result<_, _>>()?;
    let output = emission.output.map(|output| codec::encode(&output, "an output")).transpose()?;
    Ok(EncodedEmission { successors, output })
}

/// The encoded result of an attempt.
pub(crate) struct EncodedAttempt {
    pub(crate) produced: EncodedOutcome,
    /// The context after the attempt; `None` where it did not change, or where the attempt failed.
    pub(crate) context: Option<Bytes>,
    /// The error of a failed attempt, also where an `on_failure` edge handles it.
    pub(crate) error: Option<Error>,
}

/// Encodes an outcome and the context after it. A value that cannot be encoded is a failed attempt.
pub(crate) fn encode<WI: WorkItem, O: Serialize, C: Serialize>(
    outcome: Outcome<WI, O>,
    context: &C,
    before: &Bytes,
    attempt: &AttemptId,
) -> EncodedAttempt {
    jetway_state::hop!("encode");
    let error = match &outcome {
        Outcome::Failed(error) | Outcome::Handled { error, .. } => Some(error.clone()),
        Outcome::Next(_) | Outcome::NextAll(_) | Outcome::Hold => None,
    };
    // Encoding calls code of the user, which may panic.
    let encoded = guarded_now(|| {
        let produced = encode_outcome(outcome, attempt)?;
        let context = changed_context(context, before, &produced)?;
        Ok(EncodedAttempt { produced, context, error })
    });
    encoded.unwrap_or_else(|error| EncodedAttempt {
        produced: EncodedOutcome::Failed(attempt.error(&error)),
        context: None,
        error: Some(error),
    })
}

/// The encoded context where the node changed it. Changes by a node that failed are dropped: a step is all or nothing.
fn changed_context<C: Serialize>(
    context: &C,
    before: &Bytes,
    produced: &EncodedOutcome,
) -> Result<Option<Bytes>, Error> {
    if matches!(produced, EncodedOutcome::Failed(_) | EncodedOutcome::Handled(..)) {
        return Ok(None);
    }
    let after = codec::encode(context, "the context")?;
    Ok((after != *before).then_some(after))
}

pub(crate) fn encode_outcome<WI: WorkItem, O: Serialize>(
    outcome: Outcome<WI, O>,
    attempt: &AttemptId,
) -> Result<EncodedOutcome, Error> {
    Ok(match outcome {
        Outcome::Next(emission) => EncodedOutcome::Next(encode_emission(emission)?),
        Outcome::NextAll(emissions) => {
            EncodedOutcome::NextAll(emissions.into_iter().map(encode_emission).collect::<Result<_, _>>()?)
        }
        Outcome::Hold => EncodedOutcome::Hold,
        Outcome::Handled { error: handled, emission } => {
            EncodedOutcome::Handled(attempt.error(&handled), encode_emission(emission)?)
        }
        Outcome::Failed(failed) => EncodedOutcome::Failed(attempt.error(&failed)),
    })
}
