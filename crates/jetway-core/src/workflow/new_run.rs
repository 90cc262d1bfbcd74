//! The begin of a run that continues as new.

use super::Workflow;
use crate::{Context, NewInput, panics::guarded_now, step::run_input_of};
use jetway_state::{Error, run::RunInput, value};

/// The first work item and the fresh context of a run of `workflow` that continues with this input.
///
/// # Errors
/// The value cannot be encoded, or is no input of the workflow.
pub(crate) fn new_run<C: Context, W: Workflow<C>>(workflow: &W, input: &NewInput) -> Result<RunInput, Error> {
    // Decoding calls code of the user, which may panic.
    guarded_now(|| {
        let context = value::write_opaque(&C::default(), &"the context")?;
        run_input_of(workflow.start_work_item(input.read(workflow.name())?), context)
    })
}
