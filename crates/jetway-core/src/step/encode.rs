//! Encoding what a node is given and what it answers.

use crate::{Emission, Outcome, WorkItem, panics::guarded_now, step::TaskInput};
use bytes::Bytes;
use jetway_state::{
    Error, codec,
    run::{AttemptId, EncodedEmission, EncodedOutcome, RunInput, Successor},
};
use serde::Serialize;

/// The first work item of a run, with its encoded context.
pub(crate) fn run_input_of<WI: WorkItem>(item: WI, context: Bytes) -> Result<RunInput, Error> {
    let Successor { node, payload } = encode_item(item)?;
    Ok(RunInput { node, payload, context })
}

pub(crate) fn decode_item<WI: WorkItem>(node: &str, input: TaskInput) -> Result<WI, Error> {
    let what = || format!("work item of node {node:?}");
    match input {
        TaskInput::One(bytes) => codec::decode(&bytes, &what()),
        TaskInput::Gathered(parts) => {
            let parts = parts.iter().map(|part| codec::decode(part, &what())).collect::<Result<_, _>>()?;
            WI::gathered(node, parts)
                .ok_or_else(|| Error::decode(what(), "this build's node does not gather"))
        }
    }
}

/// Encodes without the id: the engine derives it, and two encodings of one value have to be the same.
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

/// What an attempt came to, encoded.
pub(crate) struct EncodedAttempt {
    pub(crate) produced: EncodedOutcome,
    /// The context after it; `None` where it did not change, or where the attempt failed.
    pub(crate) context: Option<Bytes>,
    /// Why the attempt failed, also where an `on_failure` edge handles it.
    pub(crate) error: Option<Error>,
}

/// Encodes an outcome and the context after it. A value that cannot be encoded is a failed attempt.
pub(crate) fn encode<WI: WorkItem, O: Serialize, C: Serialize>(
    outcome: Outcome<WI, O>,
    context: &C,
    before: &Bytes,
    attempt: &AttemptId,
) -> EncodedAttempt {
    let error = match &outcome {
        Outcome::Failed(error) | Outcome::Handled { error, .. } => Some(error.clone()),
        Outcome::Next(_) | Outcome::NextAll(_) | Outcome::Hold => None,
    };
    // The code that encodes is the user's as well, and may panic.
    let encoded = guarded_now(|| {
        let produced = encode_outcome(outcome, attempt)?;
        let context = changed(context, before, &produced)?;
        Ok(EncodedAttempt { produced, context, error })
    });
    encoded.unwrap_or_else(|unfit| EncodedAttempt {
        produced: EncodedOutcome::Failed(attempt.error(&unfit)),
        context: None,
        error: Some(unfit),
    })
}

/// The context, encoded, where the node changed it. A node that failed leaves no trace in it: a step is all or
/// nothing.
fn changed<C: Serialize>(
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
