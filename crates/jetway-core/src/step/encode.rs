//! Encoding what a node is given and what it answers.

use crate::{Emission, Outcome, WorkItem, step::TaskInput};
use bytes::Bytes;
use jetway_state::{
    Error, codec,
    run::{EncodedEmission, EncodedOutcome, RunError, RunInput, Successor},
};
use serde::Serialize;

/// The first work item of a run, with its encoded context.
pub(crate) fn run_input_of<WI: WorkItem>(item: WI, context: Bytes) -> Result<RunInput, Error> {
    let Successor { node, payload } = encode_item(item)?;
    Ok(RunInput { node, payload, context })
}

/// The context, encoded, where the node changed it. A node that failed leaves no trace in it: a step is all or
/// nothing.
pub(crate) fn changed<C: Serialize>(
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

pub(crate) fn encode_outcome<WI: WorkItem, O: Serialize>(
    outcome: Outcome<WI, O>,
    error: &impl Fn(&Error) -> RunError,
) -> Result<EncodedOutcome, Error> {
    Ok(match outcome {
        Outcome::Next(emission) => EncodedOutcome::Next(encode_emission(emission)?),
        Outcome::NextAll(emissions) => {
            EncodedOutcome::NextAll(emissions.into_iter().map(encode_emission).collect::<Result<_, _>>()?)
        }
        Outcome::Hold => EncodedOutcome::Hold,
        Outcome::Handled { error: caught, emission } => {
            EncodedOutcome::Handled(error(&caught), encode_emission(emission)?)
        }
        Outcome::Failed(failed) => EncodedOutcome::Failed(error(&failed)),
    })
}
