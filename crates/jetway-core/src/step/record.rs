//! What a record says in the workflow's own types: its pending items, and the output of an ended run.

use super::{encode::decode_item, erased::TaskInput};
use crate::WorkItem;
use jetway_state::{
    Error, ItemId, codec,
    run::{Arrival, Input, Payload, Snapshot, Status},
};
use serde::de::DeserializeOwned;

/// The first output of a run that has ended.
pub(crate) fn output_of<O: DeserializeOwned>(snapshot: &Snapshot) -> Result<O, Error> {
    match (snapshot.outputs.first(), &snapshot.error) {
        (Some(output), _) if snapshot.status == Status::Completed => {
            codec::decode(&output.value, "an output")
        }
        (_, Some(error)) if error.kind != Error::NoOutput.kind() => Err(Error::Failed(error.message.clone())),
        _ => Err(Error::NoOutput),
    }
}

/// The pending item of that id; `None` where it is not pending.
pub(crate) fn item_in<WI: WorkItem>(snapshot: &Snapshot, id: &ItemId) -> Result<Option<WI>, Error> {
    let (node, input) = match snapshot.items.get(id) {
        Some(item) => (item.node.clone(), task_input(&item.input)),
        None => {
            let seed = id.as_branch().and_then(|(fan_out, position)| {
                snapshot.fan_outs.get(&fan_out)?.branches.inline.get(&position).cloned()
            });
            let Some(seed) = seed else { return Ok(None) };
            (seed.node, Some(TaskInput::One(seed.payload)))
        }
    };
    let Some(input) = input else { return Ok(None) };
    let item: WI = decode_item(&node, input)?;
    Ok(Some(item.with_instance_id(id.to_string())))
}

/// Nothing is moved into chunks within a process, so every payload is in the record.
fn task_input(input: &Input) -> Option<TaskInput> {
    match input {
        Input::One(Payload::Inline(bytes)) => Some(TaskInput::One(bytes.clone())),
        Input::One(Payload::Chunk(_)) => None,
        Input::Gathered(arrivals) => Some(TaskInput::Gathered(Arrival::in_order(arrivals.inline.clone()))),
    }
}
