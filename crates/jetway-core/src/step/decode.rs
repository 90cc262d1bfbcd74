//! Decodes work items and outputs from a snapshot into the workflow's own types.

use super::erased::TaskInput;
use crate::WorkItem;
use jetway_state::{
    Error, ItemId,
    run::{Arrival, Input, Payload, Snapshot, Status},
    value,
};
use serde::de::DeserializeOwned;

/// Decodes a work item of `node`, without its id.
pub(crate) fn decode_item<WI: WorkItem>(node: &str, input: &TaskInput) -> Result<WI, Error> {
    let what = format_args!("work item of node {node:?}");
    match input {
        TaskInput::Output(_) => {
            Err(Error::decode(what.to_string(), "it is an output, for which no node runs"))
        }
        TaskInput::One(bytes) => value::read(bytes, &what),
        TaskInput::Gathered(parts) => {
            let parts = parts.iter().map(|part| value::read(part, &what)).collect::<Result<_, _>>()?;
            WI::gathered(node, parts)
                .ok_or_else(|| Error::decode(what.to_string(), "the node gathers no values in this build"))
        }
    }
}

/// The first output of a run; an error where the run has not completed.
pub(crate) fn output_of<O: DeserializeOwned>(snapshot: &Snapshot) -> Result<O, Error> {
    match (snapshot.outputs.first(), &snapshot.error) {
        (Some(output), _) if snapshot.status == Status::Completed => output.value.read(),
        (_, Some(error)) if error.kind != Error::NoOutput.kind() => Err(Error::Failed(error.message.clone())),
        _ => Err(Error::NoOutput),
    }
}

/// The pending item with that id; `None` where it is not pending.
pub(crate) fn item_in<WI: WorkItem>(snapshot: &Snapshot, id: &ItemId) -> Result<Option<WI>, Error> {
    let (node, input) = match snapshot.items.get(id) {
        Some(item) => (item.node.clone(), task_input(&item.input)),
        None => {
            let branch = id.as_branch().and_then(|(fan_out, position)| {
                snapshot.fan_outs.get(&fan_out)?.branches.inline.get(&position).cloned()
            });
            let Some(branch) = branch else { return Ok(None) };
            (branch.node, Some(TaskInput::One(branch.payload)))
        }
    };
    let Some(input) = input else { return Ok(None) };
    let item: WI = decode_item(&node, &input)?;
    Ok(Some(item.with_instance_id(id.to_string())))
}

/// The input of an item; `None` where it is in a chunk. Only hosts move payloads into chunks.
fn task_input(input: &Input) -> Option<TaskInput> {
    match input {
        Input::One(Payload::Inline(bytes)) => Some(TaskInput::One(bytes.clone())),
        Input::One(Payload::Chunk(_)) => None,
        Input::Output(_) => None,
        Input::Gathered(arrivals) => Some(TaskInput::Gathered(Arrival::in_order(arrivals.inline.clone()))),
    }
}
