//! [`NewInput`]: the input with which a run continues as new.

use crate::{Context, Workflow, panics::guarded_now, step::run_input_of};
use bytes::Bytes;
use jetway_state::{Error, run::RunInput, value};
use serde::{Serialize, de::DeserializeOwned};
use std::any::type_name;

/// The input with which a run continues as new, as a node returns it in
/// [`Transition::ContinueAsNew`](crate::Transition::ContinueAsNew). It is made of a value of the type that the start node takes.
///
/// ```
/// use jetway_core::{NewInput, Transition};
///
/// let again: Transition<()> = Transition::ContinueAsNew(NewInput::from(7_u32));
/// let same: Transition<()> = Transition::ContinueAsNew(7_u32.into());
/// assert_eq!(again, same);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInput {
    /// The Rust type of the value.
    type_name: &'static str,
    encoded: Result<Bytes, Error>,
}

impl<T: Serialize + DeserializeOwned> From<T> for NewInput {
    fn from(value: T) -> Self {
        let encoded =
            guarded_now(|| value::write_opaque(&value, &"the input of a run that continues as new"));
        Self { type_name: type_name::<T>(), encoded }
    }
}

impl NewInput {
    /// The first work item and the fresh context of a run of `workflow` with this input.
    ///
    /// # Errors
    /// The value cannot be encoded, or is no input of the workflow.
    pub(crate) fn begin<C: Context, W: Workflow<C>>(&self, workflow: &W) -> Result<RunInput, Error> {
        let encoded = self.encoded.clone()?;
        let what = format!(
            "input of workflow {:?}, given as {} to continue as new",
            workflow.name(),
            self.type_name
        );
        // Decoding calls code of the user, which may panic.
        guarded_now(|| {
            let input: W::Input = value::read(&encoded, &what)?;
            let context = value::write_opaque(&C::default(), &"the context")?;
            run_input_of(workflow.start_work_item(input), context)
        })
    }
}
